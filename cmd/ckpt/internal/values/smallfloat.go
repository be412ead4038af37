package values

import (
	"math"
	"strconv"

	"github.com/ckpt-go/ckpt/tensor"
)

// smallFloat is a binary floating-point format of at most 16 bits: one bit of
// sign, then exponent, then mantissa.
type smallFloat struct {
	exponent, mantissa int // bits
	bias               int
	special            specials
}

// specials says which bit patterns are no numbers.
type specials int

const (
	ieee   specials = iota // the highest exponent means infinity and NaN
	onlyNN                 // all ones but the sign mean NaN, no infinities ("fn")
	noSign                 // what would be −0 is the only NaN, no infinities ("fnuz")
	finite                 // every pattern is a number
)

var smallFloats = map[tensor.DType]*smallFloat{
	tensor.Float16:           {5, 10, 15, ieee},
	tensor.BFloat16:          {8, 7, 127, ieee},
	tensor.Float8E5M2:        {5, 2, 15, ieee},
	tensor.Float8E4M3FN:      {4, 3, 7, onlyNN},
	tensor.Float8E4M3FNUZ:    {4, 3, 8, noSign},
	tensor.Float8E4M3B11FNUZ: {4, 3, 11, noSign},
	tensor.Float8E5M2FNUZ:    {5, 2, 16, noSign},
	tensor.Float4E2M1FN:      {2, 1, 1, finite},
}

func (f *smallFloat) signBit() uint16 { return 1 << (f.exponent + f.mantissa) }

// value decodes a bit pattern; bits above the format's are ignored.
func (f *smallFloat) value(bits uint16) float64 {
	sign := f.signBit()
	bits &= sign<<1 - 1 // of 16 bits sign<<1 is 0, and this all ones
	magnitude := bits &^ sign
	e, m := int(magnitude>>f.mantissa), int(magnitude)&(1<<f.mantissa-1)
	v := math.Ldexp(float64(m), 1-f.bias-f.mantissa)
	if e > 0 {
		v = math.Ldexp(float64(m+(1<<f.mantissa)), e-f.bias-f.mantissa)
	}
	switch {
	case f.special == ieee && e == 1<<f.exponent-1 && m == 0:
		v = math.Inf(1)
	case f.special == ieee && e == 1<<f.exponent-1,
		f.special == onlyNN && magnitude == sign-1,
		f.special == noSign && bits == sign:
		return math.NaN()
	}
	if bits&sign != 0 {
		return math.Copysign(v, -1)
	}
	return v
}

// decimal is the float64 with the fewest decimal digits that is nearer to the
// value of bits than to any other of the format: 0.1 for the float16 nearest it.
func (f *smallFloat) decimal(bits uint16) float64 {
	v := f.value(bits)
	sign := f.signBit()
	magnitude := bits & (sign - 1)
	if magnitude == 0 || math.IsNaN(v) || math.IsInf(v, 0) {
		return v
	}
	abs := math.Abs(v)
	below := f.value(magnitude - 1)
	above := abs + (abs - below)
	if magnitude+1 < sign {
		if next := f.value(magnitude + 1); !math.IsNaN(next) && !math.IsInf(next, 0) {
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
