package keras

import (
	crand "crypto/rand"
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"

	"github.com/ckpt-go/ckpt/tensor"
)

// Initializer gives the first values of a variable, row-major
// (keras.initializers).
type Initializer func(shape tensor.Shape) []float32

// Zeros are zeros (keras.initializers.Zeros).
func Zeros() Initializer {
	return func(shape tensor.Shape) []float32 {
		n, _ := shape.Elements()
		return make([]float32, n)
	}
}

// GlorotUniform draws from U(−L, L) with L = √(6 / (fan in + fan out)), the fans
// of a matrix [in, out] (keras.initializers.GlorotUniform; Glorot and Bengio,
// 2010). The same seed and shape give the same numbers, which are not those
// that Keras draws from that seed.
func GlorotUniform(seed uint64) Initializer {
	return func(shape tensor.Shape) []float32 {
		n, _ := shape.Elements()
		in, out := fans(shape)
		limit := float32(math.Sqrt(3 / math.Max(1, (in+out)/2)))
		r := rand.New(rand.NewPCG(seed, 0x676c6f726f74))
		values := make([]float32, n)
		for i := range values {
			values[i] = (2*r.Float32() - 1) * limit
		}
		return values
	}
}

// fans are the numbers of inputs and outputs of a unit: of a matrix its
// dimensions, of a convolution those times the receptive field.
func fans(shape tensor.Shape) (in, out float64) {
	switch n := len(shape); n {
	case 0:
		return 1, 1
	case 1:
		return float64(shape[0]), float64(shape[0])
	default:
		field := 1.0
		for _, d := range shape[:n-2] {
			field *= float64(d)
		}
		return field * float64(shape[n-2]), field * float64(shape[n-1])
	}
}

// freshSeed is a seed nobody chose.
func freshSeed() uint64 {
	var b [8]byte
	if _, err := crand.Read(b[:]); err != nil {
		panic(fmt.Errorf("keras: no random seed: %w", err)) // the system's source does not fail
	}
	return binary.LittleEndian.Uint64(b[:])
}
