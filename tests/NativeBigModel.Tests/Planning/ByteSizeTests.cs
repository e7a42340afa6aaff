using NativeBigModel.Planning;

namespace NativeBigModel.Tests.Planning;

/// <summary>accelerate's cases of max_memory (test_modeling_utils.py, convert_file_size_to_int), where a lower-case b is a byte as well.</summary>
public class ByteSizeTests
{
    [Theory]
    [InlineData("0MB", 0)]
    [InlineData("100MB", 100_000_000)]
    [InlineData("2GiB", 2L << 30)]
    [InlineData("512KiB", 512L << 10)]
    [InlineData("1.5GB", 1_500_000_000)]
    [InlineData("100KB", 100_000)]
    [InlineData("100mb", 100_000_000)]
    [InlineData("2gib", 2L << 30)]
    [InlineData("500", 500)]
    [InlineData("500B", 500)]
    [InlineData(" 1.5 GiB ", 3L << 29)]
    [InlineData("1TiB", 1L << 40)]
    [InlineData("9007199254740993", 9007199254740993)]
    [InlineData("9223372036854775807", long.MaxValue)]
    public void Sizes_are_whole_bytes(string text, long bytes) => Assert.Equal(bytes, ByteSize.Parse(text));

    [Theory]
    [InlineData("5MBB")]
    [InlineData("5k0MB")]
    [InlineData("-1GB")]
    [InlineData("-Infinity")]
    [InlineData("-InfinityGB")]
    [InlineData("NaN")]
    [InlineData("NaNGB")]
    [InlineData("∞GB")]
    [InlineData("")]
    [InlineData("GB")]
    [InlineData("1e9")]
    [InlineData("1,000")]
    [InlineData("1.5")]
    [InlineData("0x10")]
    [InlineData("9223372036854775808")]
    [InlineData("8388608TiB")]
    [InlineData("99999999999999999999999999999999TB")]
    public void What_is_no_size_is_refused_with_its_text(string text) =>
        Assert.Contains($"'{text}'", Assert.Throws<InvalidOptionException>(() => ByteSize.Parse(text)).Message, StringComparison.Ordinal);

    [Fact]
    public void Limits_name_devices_once()
    {
        MemoryLimits limits = MemoryLimits.Parse("1=10GiB, 0=512MiB ,cpu=20GB");
        Assert.Equal([KeyValuePair.Create(0, 512L << 20), KeyValuePair.Create(1, 10L << 30)], limits.Gpus);
        Assert.Equal(20_000_000_000, limits.Host);
        Assert.Null(MemoryLimits.Parse("0=1GiB").Host);
        Assert.Equal(1, MemoryLimits.Parse("CPU=1").Host);
    }

    [Theory]
    [InlineData("")]
    [InlineData("0")]
    [InlineData("0=")]
    [InlineData("=1GB")]
    [InlineData("gpu0=1GB")]
    [InlineData("-1=1GB")]
    [InlineData("disk=1GB")]
    [InlineData("0=1GB,")]
    [InlineData("0=1GB,00=2GB")]
    [InlineData("cpu=1GB,CPU=2GB")]
    [InlineData("0=-1GB")]
    [InlineData("99999999999=1GB")]
    public void Malformed_limits_are_refused(string text) => Assert.Throws<InvalidOptionException>(() => MemoryLimits.Parse(text));
}
