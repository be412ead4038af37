package engine

import (
	"fmt"

	"github.com/gomlx/gomlx/pkg/core/graph"

	"github.com/ckpt-go/ckpt/tensor"
)

// Add is a + b. As for all operations on two nodes, one of them may be a scalar
// or have dimensions of 1 that are repeated.
func Add(a, b Node) Node { return Node{graph.Add(a.n, b.n)} }

// Sub is a − b.
func Sub(a, b Node) Node { return Node{graph.Sub(a.n, b.n)} }

// Mul is a · b, element by element.
func Mul(a, b Node) Node { return Node{graph.Mul(a.n, b.n)} }

// Div is a / b.
func Div(a, b Node) Node { return Node{graph.Div(a.n, b.n)} }

// Pow is a to the power of b.
func Pow(a, b Node) Node { return Node{graph.Pow(a.n, b.n)} }

// Max is the larger of a and b.
func Max(a, b Node) Node { return Node{graph.Max(a.n, b.n)} }

// Min is the smaller of a and b.
func Min(a, b Node) Node { return Node{graph.Min(a.n, b.n)} }

// Neg is −a.
func Neg(a Node) Node { return Node{graph.Neg(a.n)} }

// Sqrt is the square root.
func Sqrt(a Node) Node { return Node{graph.Sqrt(a.n)} }

// Exp is e to the power of a.
func Exp(a Node) Node { return Node{graph.Exp(a.n)} }

// Log is the natural logarithm.
func Log(a Node) Node { return Node{graph.Log(a.n)} }

// Floor rounds down.
func Floor(a Node) Node { return Node{graph.Floor(a.n)} }

// Cos is the cosine of an angle in radians.
func Cos(a Node) Node { return Node{graph.Cos(a.n)} }

// Cast converts to another dtype.
func Cast(a Node, d tensor.DType) Node {
	if a.DType() == d {
		return a
	}
	kind, ok := kinds[d]
	if !ok {
		panic(fmt.Errorf("keras: no conversion to dtype %v", d))
	}
	return Node{graph.ConvertDType(a.n, kind)}
}

// Greater tells where a > b, as bool.
func Greater(a, b Node) Node { return Node{graph.GreaterThan(a.n, b.n)} }

// AtMost tells where a ≤ b, as bool.
func AtMost(a, b Node) Node { return Node{graph.LessOrEqual(a.n, b.n)} }

// Equal tells where a = b, as bool.
func Equal(a, b Node) Node { return Node{graph.Equal(a.n, b.n)} }

// Where takes yes where the condition holds, else no. All have one shape, or
// are scalars.
func Where(condition, yes, no Node) Node {
	return Node{graph.Where(condition.n, yes.n, no.n)}
}

// MatMul is the product of two matrices [n, k] and [k, m].
func MatMul(a, b Node) Node { return Node{graph.Dot(a.n, b.n)} }

// AddRow adds a vector [m] to every row of a [n, m].
func AddRow(a, row Node) Node {
	dims := make([]int, a.n.Rank())
	for i := range dims {
		dims[i] = 1
	}
	dims[len(dims)-1] = row.n.Shape().Dimensions[0]
	return Node{graph.Add(a.n, graph.Reshape(row.n, dims...))}
}

// Sum adds up the elements along the given axes, which vanish; without axes it
// adds up all, to a scalar.
func Sum(a Node, axes ...int) Node {
	if a.n.Rank() == 0 {
		return a
	}
	return Node{graph.ReduceSum(a.n, axes...)}
}

// LastMax is the largest element along the last axis, which stays with size 1.
func LastMax(a Node) Node {
	return Node{graph.InsertAxes(graph.ReduceMax(a.n, -1), -1)}
}

// LastSum is Sum along the last axis, which stays with size 1.
func LastSum(a Node) Node {
	return Node{graph.InsertAxes(graph.ReduceSum(a.n, -1), -1)}
}

// ArgMax is the index, an int64, of the largest element along the last axis,
// which vanishes. NaN counts as the largest.
func ArgMax(a Node) Node { return Node{graph.ArgMax(a.n, -1, kinds[tensor.Int64])} }

// OneHot is 1 at each index and 0 elsewhere along a new last axis. An index
// outside has no 1.
func OneHot(indices Node, depth int, d tensor.DType) Node {
	return Node{graph.OneHot(indices.n, depth, kinds[d])}
}

// Finite tells where a is neither infinite nor NaN.
func Finite(a Node) Node { return Node{graph.IsFinite(a.n)} }

// Zeros has the shape of a.
func Zeros(a Node) Node { return Node{graph.ZerosLike(a.n)} }

// Reshape gives the same elements other dimensions.
func Reshape(a Node, s tensor.Shape) Node {
	dims := make([]int, len(s))
	for i, n := range s {
		dims[i] = int(n)
	}
	return Node{graph.Reshape(a.n, dims...)}
}

// Stop is a whose gradient is zero.
func Stop(a Node) Node { return Node{graph.StopGradient(a.n)} }

// Identity is a, as a node of its own.
func Identity(a Node) Node { return Node{graph.Identity(a.n)} }

// WithGradient is value [n], whose derivative with respect to x [n, m], at the
// finite elements of x is gradient [n, m], whatever the operations that led to
// value. The gradient may have a derivative itself.
func WithGradient(value, x, gradient Node) Node {
	finite := Where(Finite(x), x, Zeros(x))
	zero := Sub(finite, Stop(finite)) // 0, and 1 as its derivative
	// The half makes the second derivative that of gradient, once: it comes from
	// both factors. The number itself is gradient.
	half := Node{graph.MulScalar(Sub(gradient, Stop(gradient)).n, 0.5)}
	return Add(Stop(value), Sum(Mul(zero, Add(Stop(gradient), half)), -1))
}

// Gradients are the derivatives of a scalar with respect to nodes. Depends tells
// which of them there is a way to.
func Gradients(loss Node, to []Node) []Node {
	list := make([]*graph.Node, len(to))
	for i, n := range to {
		list[i] = n.n
	}
	found := graph.Gradient(loss.n, list...)
	nodes := make([]Node, len(to))
	for i, n := range found {
		nodes[i] = Node{n}
	}
	return nodes
}

// Depends tells of each node whether a value was computed from it by operations
// that have a derivative: Stop, comparisons and integers end the way.
func Depends(value Node, on []Node) []bool {
	seen := map[*graph.Node]bool{value.n: true}
	queue := []*graph.Node{value.n}
	for i := 0; i < len(queue); i++ {
		if queue[i].StopGradient() || !queue[i].DType().IsFloat() {
			continue
		}
		for _, input := range queue[i].Inputs() {
			if !seen[input] {
				seen[input] = true
				queue = append(queue, input)
			}
		}
	}
	depends := make([]bool, len(on))
	for i, n := range on {
		depends[i] = seen[n.n]
	}
	return depends
}
