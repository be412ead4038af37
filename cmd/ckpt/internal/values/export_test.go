// Package values, to show the tests what a bit pattern means before it is printed.
package values

import "github.com/ckpt-go/ckpt/tensor"

// AllSmall gives the values of all bit patterns of a small float dtype.
func AllSmall(d tensor.DType) ([]float64, error) {
	f, err := newSmallFloat(d)
	if err != nil {
		return nil, err
	}
	return f.all, nil
}
