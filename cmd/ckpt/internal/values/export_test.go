// Package values, to show the tests what a bit pattern means before it is printed.
package values

import "github.com/ckpt-go/ckpt/tensor"

// AllSmall gives the values of all bit patterns of a small float dtype.
func AllSmall(d tensor.DType) []float64 {
	f := smallFloats[d]
	all := make([]float64, int(f.signBit())*2)
	for i := range all {
		all[i] = f.value(uint16(i))
	}
	return all
}
