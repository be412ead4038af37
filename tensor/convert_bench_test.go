package tensor_test

import (
	"testing"

	"github.com/ckpt-go/ckpt/tensor"
)

// weights are a million numbers such as a layer has, of both signs and of
// magnitudes that every small float knows, subnormal ones among them.
func weights() []float32 {
	const n = 1 << 20
	values := make([]float32, n)
	for i := range values {
		values[i] = float32(int64(uint32(i)*2654435761%65536)-32768) / 32768
	}
	return values
}

var benchmarked = []tensor.DType{tensor.Float16, tensor.BFloat16, tensor.Float8E4M3FN, tensor.Float8E5M2FNUZ, tensor.Float4E2M1FN, tensor.Float32}

func BenchmarkFloats(b *testing.B) {
	for _, d := range append(benchmarked, tensor.Float64, tensor.Int8, tensor.Int64) {
		b.Run(d.String(), func(b *testing.B) {
			v, err := tensor.New(d, tensor.Shape{1 << 20}, make([]byte, d.Size()<<20))
			if d != tensor.Int8 && d != tensor.Int64 {
				v, err = tensor.FromFloats(d, tensor.Shape{1 << 20}, weights())
			}
			if err != nil {
				b.Fatal(err)
			}
			b.SetBytes(4 << 20) // of float32
			for b.Loop() {
				if _, err := tensor.Floats[float32](v); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkFromFloats(b *testing.B) {
	values := weights()
	for _, d := range benchmarked {
		b.Run(d.String(), func(b *testing.B) {
			b.SetBytes(4 << 20) // of float32
			for b.Loop() {
				if _, err := tensor.FromFloats(d, tensor.Shape{1 << 20}, values); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
