package main

import "fmt"

// network is something to train.
type network struct {
	name     string
	features int
	layers   []int // units; the last of a classifier has a softmax, all others a relu
	rows     int
	loss     string // "sum", "crossentropy", or "halves": two networks of one layer, each with an Adam of its own
}

var networks = []network{
	{"sequential", 10, []int{128, 10}, 1, "sum"},
	{"subclassed", 10, []int{128, 10}, 32, "crossentropy"},
	{"encoderdecoder", 10, []int{64, 64}, 32, "halves"},
	{"digits", 784, []int{128, 10}, 64, "crossentropy"},
}

const (
	batches    = 16 // different ones, used in turn
	checkSteps = 20 // whose last loss must be the same everywhere
)

func findNetwork(name string) (network, error) {
	for _, n := range networks {
		if n.name == name {
			return n, nil
		}
	}
	return network{}, fmt.Errorf("no network %q", name)
}

// pattern is the formula of testdata/tensorflow-2.21.0-numbers, times a scale.
func pattern(n int, number uint64, scale float64) []float32 {
	values := make([]float32, n)
	for i := range values {
		h := (uint64(i)*2654435761 + number*40503) % 65536
		values[i] = float32(scale * (float64(h)/32768 - 1))
	}
	return values
}

// weights are the first values of the variables: kernel and bias of each layer.
func (n network) weights() [][]float32 {
	var all [][]float32
	in := n.features
	for _, units := range n.layers {
		number := uint64(len(all))
		all = append(all, pattern(in*units, number, n.scale()), pattern(units, number+1, n.scale()))
		in = units
	}
	return all
}

// scale keeps the outputs of a network with many inputs moderate.
func (n network) scale() float64 {
	if n.features > 100 {
		return 0.05
	}
	return 0.3
}

// batch is the inputs [rows, features] and labels [rows] of a batch.
func (n network) batch(i int) (x []float32, y []int64) {
	x = pattern(n.rows*n.features, uint64(i+1), 1)
	y = make([]int64, n.rows)
	for row := range y {
		y[row] = int64((row*7 + (i+1)*3) % 10)
	}
	return x, y
}
