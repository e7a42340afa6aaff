#include "os.h"
#include "nbm.h"

#include <algorithm>
#include <system_error>

#define WIN32_LEAN_AND_MEAN
#ifndef NOMINMAX // libstdc++ does
#  define NOMINMAX
#endif
#include <windows.h>

namespace nbm::os {

static std::string reason(DWORD error) { return std::system_category().message((int) error); }

void * map_pages(size_t size) {
    void * memory = VirtualAlloc(nullptr, size, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE);
    if (memory == nullptr) {
        throw failure{NBM_NO_MEMORY, std::to_string(size) + " bytes of host memory were refused: " + reason(GetLastError())};
    }
    return memory;
}

void unmap_pages(void * memory, size_t) { VirtualFree(memory, 0, MEM_RELEASE); }

void * reserve_addresses(size_t size) {
    void * base = VirtualAlloc(nullptr, size, MEM_RESERVE, PAGE_NOACCESS);
    if (base == nullptr) {
        throw failure{NBM_NO_MEMORY, std::to_string(size) + " bytes of addresses were refused: " + reason(GetLastError())};
    }
    return base;
}

void release_addresses(void * base, size_t) { VirtualFree(base, 0, MEM_RELEASE); }

// Each C runtime of a process has a copy of the environment; the engine's libraries use the system's.
void set_default(const char * variable, const char * value) {
    if (GetEnvironmentVariableA(variable, nullptr, 0) != 0) {
        return;
    }
    SetEnvironmentVariableA(variable, value);
    HMODULE runtime = GetModuleHandleA("ucrtbase.dll");
    auto    put     = runtime == nullptr ? nullptr : (int(__cdecl *)(const char *, const char *))(void *) GetProcAddress(runtime, "_putenv_s");
    if (put != nullptr) {
        put(variable, value);
    }
}

static std::wstring wide(const std::string & text) {
    std::wstring result((size_t) std::max(MultiByteToWideChar(CP_UTF8, 0, text.data(), (int) text.size(), nullptr, 0), 0), L'\0');
    MultiByteToWideChar(CP_UTF8, 0, text.data(), (int) text.size(), result.data(), (int) result.size());
    return result;
}

file::file(const std::string & path) {
    HANDLE opened = CreateFileW(wide(path).c_str(), GENERIC_READ, FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE, nullptr, OPEN_EXISTING,
                                FILE_ATTRIBUTE_NORMAL | FILE_FLAG_NO_BUFFERING | FILE_FLAG_OVERLAPPED, nullptr);
    LARGE_INTEGER size;
    if (opened == INVALID_HANDLE_VALUE || !GetFileSizeEx(opened, &size)) {
        const DWORD error = GetLastError();
        if (opened != INVALID_HANDLE_VALUE) {
            CloseHandle(opened);
        }
        throw failure{NBM_IO, path + ": " + reason(error)};
    }
    handle = (intptr_t) opened;
    bytes  = (uint64_t) size.QuadPart;
}

file::~file() { CloseHandle((HANDLE) handle); }

// The handle is one for overlapped reads: Windows lets the threads of any other wait for each other.
size_t file::read(uint64_t offset, size_t size, uint8_t * memory) const {
    constexpr size_t most = (size_t) 1 << 30; // a length takes 32 bits
    OVERLAPPED at = {};
    at.Offset     = (DWORD) offset;
    at.OffsetHigh = (DWORD) (offset >> 32);
    at.hEvent     = CreateEventW(nullptr, TRUE, FALSE, nullptr);
    DWORD count = 0, error = ERROR_SUCCESS;
    if (at.hEvent == nullptr) {
        error = GetLastError();
    } else {
        const bool begun = ReadFile((HANDLE) handle, memory, (DWORD) std::min(size, most), nullptr, &at) || GetLastError() == ERROR_IO_PENDING;
        if (!begun || !GetOverlappedResult((HANDLE) handle, &at, &count, TRUE)) {
            error = GetLastError();
        }
        CloseHandle(at.hEvent);
    }
    if (error != ERROR_SUCCESS && error != ERROR_HANDLE_EOF) {
        throw failure{NBM_IO, "at byte " + std::to_string(offset) + ": " + reason(error)};
    }
    return count;
}

} // namespace nbm::os
