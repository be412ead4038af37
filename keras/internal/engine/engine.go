// Package engine runs computations on GoMLX, and is the only place in keras
// that knows it.
//
// A Graph is built from Nodes, compiled once, and then is a function from
// Values to Values: nothing it is given ever changes, so a Value can be held
// while others are computed from it. Building panics on a mistake in the
// program, such as shapes that do not fit; Catch turns that into an error.
// A Graph is built and run by one goroutine at a time; Values may be read from
// several.
package engine

import (
	"encoding/binary"
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"sync"

	"github.com/gomlx/gomlx/backends"
	"github.com/gomlx/gomlx/backends/simplego"
	"github.com/gomlx/gomlx/pkg/core/dtypes"
	"github.com/gomlx/gomlx/pkg/core/graph"
	"github.com/gomlx/gomlx/pkg/core/shapes"

	"github.com/ckpt-go/ckpt/tensor"
)

// backend is the one backend of the process. Its operations run one after
// another: GoMLX's default waits for ever where a process sees one CPU only.
var backend = sync.OnceValues(func() (backends.Backend, error) {
	if binary.NativeEndian.Uint16([]byte{1, 0}) != 1 {
		return nil, errors.New("keras: machines with big-endian numbers are not supported")
	}
	b, err := simplego.New("ops_sequential")
	if err != nil {
		return nil, fmt.Errorf("keras: starting GoMLX: %w", err)
	}
	overrideMatMulGradient()
	return b, nil
})

// overrideMatMulGradient replaces GoMLX's gradient of the matrix product, which
// broadcasts to [batch, in, out], by two matrix products. Other ranks keep the
// gradient they had.
func overrideMatMulGradient() {
	original := graph.VJPRegistration[graph.NodeTypeDot]
	graph.VJPRegistration[graph.NodeTypeDot] = func(node *graph.Node, v []*graph.Node, output shapes.Shape) []*graph.Node {
		x, w := node.Inputs()[0], node.Inputs()[1]
		if x.Rank() != 2 || w.Rank() != 2 || output.Rank() != 0 {
			return original(node, v, output)
		}
		return []*graph.Node{
			graph.DotGeneral(v[0], []int{1}, nil, w, []int{1}, nil),
			graph.DotGeneral(x, []int{0}, nil, v[0], []int{0}, nil),
		}
	}
}

// kinds are the dtypes that computations know.
var kinds = map[tensor.DType]dtypes.DType{
	tensor.Float32: dtypes.Float32,
	tensor.Float64: dtypes.Float64,
	tensor.Int8:    dtypes.Int8,
	tensor.Int16:   dtypes.Int16,
	tensor.Int32:   dtypes.Int32,
	tensor.Int64:   dtypes.Int64,
	tensor.Uint8:   dtypes.Uint8,
	tensor.Uint16:  dtypes.Uint16,
	tensor.Uint32:  dtypes.Uint32,
	tensor.Uint64:  dtypes.Uint64,
	tensor.Bool:    dtypes.Bool,
}

// shapeOf translates a dtype and a shape. Zero-size tensors cannot be computed
// with.
func shapeOf(d tensor.DType, s tensor.Shape) (shapes.Shape, error) {
	kind, ok := kinds[d]
	if !ok {
		return shapes.Shape{}, fmt.Errorf("keras: tensors of dtype %v cannot be computed with", d)
	}
	dims := make([]int, len(s))
	for i, n := range s {
		if n <= 0 || int64(int(n)) != n {
			return shapes.Shape{}, fmt.Errorf("keras: tensors of shape %v cannot be computed with: every dimension must be at least 1", s)
		}
		dims[i] = int(n)
	}
	if _, ok := s.Elements(); !ok {
		return shapes.Shape{}, fmt.Errorf("keras: impossible shape %v", s)
	}
	return shapes.Make(kind, dims...), nil
}

func dtypeOf(kind dtypes.DType) tensor.DType {
	for d, k := range kinds {
		if k == kind {
			return d
		}
	}
	return tensor.Invalid
}

func tensorShape(s shapes.Shape) tensor.Shape {
	dims := make(tensor.Shape, s.Rank())
	for i, n := range s.Dimensions {
		dims[i] = int64(n)
	}
	return dims
}

// Catch calls fn and returns what it panicked with as an error. A run-time
// error, a bug in the program, comes with the stack.
func Catch(fn func()) (err error) {
	defer func() {
		switch p := recover().(type) {
		case nil:
		case runtime.Error:
			err = fmt.Errorf("keras: panic: %w\n%s", p, debug.Stack())
		case error:
			err = p
		default:
			err = fmt.Errorf("keras: panic: %v", p)
		}
	}()
	fn()
	return nil
}
