// The tests of native/, by file.
#pragma once

#include "chain.h"

struct test {
    std::string           name;
    std::function<void()> run;
};

std::vector<test> streaming_tests();
std::vector<test> experts_tests();
std::vector<test> fault_tests();
std::vector<test> system_tests(); // of this operating system
