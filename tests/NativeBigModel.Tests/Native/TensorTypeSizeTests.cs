using NativeBigModel.Native;

namespace NativeBigModel.Tests.Native;

public sealed unsafe class TensorTypeSizeTests
{
    public static TheoryData<TensorType> Known => new(Enum.GetValues<TensorType>());

    public TensorTypeSizeTests() => EngineLibrary.Load();

    [Theory]
    [MemberData(nameof(Known))]
    public void Sizes_and_names_are_ggmls(TensorType type)
    {
        Assert.True(TensorTypes.IsKnown(type));
        Assert.Equal(GgmlApi.GgmlBlckSize(type), type.BlockSize());
        Assert.Equal((int)GgmlApi.GgmlTypeSize(type), type.BlockBytes());
        Assert.Equal((long)GgmlApi.GgmlRowSize(type, 512), type.RowBytes(512));
        Assert.Equal(type.ToString(), Utf8.Text(GgmlApi.GgmlTypeName(type)), ignoreCase: true);
    }

    [Fact]
    public void Q8_0_quantizes_and_validates_a_row()
    {
        float[] row = [.. Enumerable.Range(0, 64).Select(static i => i - 31.5f)];
        byte[] bytes = new byte[TensorType.Q8_0.RowBytes(row.Length)];
        fixed (float* from = row)
        fixed (byte* to = bytes)
        {
            Assert.Equal((nuint)bytes.Length, GgmlApi.GgmlQuantizeChunk(TensorType.Q8_0, from, to, 0, 1, row.Length, null));
            Assert.True(GgmlApi.GgmlValidateRowData(TensorType.Q8_0, to, (nuint)bytes.Length));
            BitConverter.TryWriteBytes(bytes, Half.NaN);
            Assert.False(GgmlApi.GgmlValidateRowData(TensorType.Q8_0, to, (nuint)bytes.Length));
        }
        Assert.False(GgmlApi.GgmlQuantizeRequiresImatrix(TensorType.Q8_0));
        Assert.True(GgmlApi.GgmlQuantizeRequiresImatrix(TensorType.IQ2_XXS));
    }
}
