package values

import (
	"encoding/binary"
	"math"
	"strconv"

	"github.com/ckpt-go/ckpt/tensor"
)

// smallFloat is a binary floating-point format of at most 16 bits.
type smallFloat struct {
	all []float64 // the values of all bit patterns: first those of sign 0, ascending
}

// newSmallFloat returns the format of d, nil if d is no small float.
func newSmallFloat(d tensor.DType) (*smallFloat, error) {
	bits := 8 * d.Size()
	switch d {
	case tensor.Float4E2M1FN:
		bits = 4
	case tensor.Float16, tensor.BFloat16, tensor.Float8E5M2, tensor.Float8E4M3FN, tensor.Float8E4M3FNUZ, tensor.Float8E4M3B11FNUZ, tensor.Float8E5M2FNUZ:
	default:
		return nil, nil
	}
	patterns := make([]byte, 0, d.Size()<<bits)
	for i := range 1 << bits {
		if patterns = append(patterns, byte(i)); d.Size() == 2 {
			patterns = append(patterns, byte(i>>8))
		}
	}
	t, err := tensor.New(d, tensor.Shape{1 << bits}, patterns)
	if err != nil {
		return nil, err
	}
	all, err := tensor.Floats[float64](t)
	return &smallFloat{all}, err
}

// decimal is the float64 with the fewest decimal digits that is nearer to the
// value of an element than to any other of the format: 0.1 for the float16
// nearest it. Bits above the format's are ignored.
func (f *smallFloat) decimal(element []byte) float64 {
	pattern := int(element[0])
	if len(element) == 2 {
		pattern = int(binary.LittleEndian.Uint16(element))
	}
	sign := len(f.all) / 2
	v := f.all[pattern&(len(f.all)-1)]
	magnitude := pattern & (sign - 1)
	if magnitude == 0 || math.IsNaN(v) || math.IsInf(v, 0) {
		return v
	}
	abs := math.Abs(v)
	below := f.all[magnitude-1]
	above := abs + (abs - below)
	if magnitude+1 < sign {
		if next := f.all[magnitude+1]; !math.IsNaN(next) && !math.IsInf(next, 0) {
			above = next
		}
	}
	low, high := (below+abs)/2, (abs+above)/2 // exact: float64 has bits to spare
	for digits := range 17 {
		c, err := strconv.ParseFloat(strconv.FormatFloat(abs, 'e', digits, 64), 64)
		if err == nil && low < c && c < high {
			return math.Copysign(c, v)
		}
	}
	return v
}
