using System.Runtime.CompilerServices;

// What crosses to C is what the declarations say: blittable structs, UTF-8 strings, one-byte booleans.
[assembly: DisableRuntimeMarshalling]
