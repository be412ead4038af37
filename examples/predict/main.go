// Command predict answers with a network that Python trained: the checkpoint is
// embedded in the binary, its variables are read into plain slices, and no
// TensorFlow is needed to run them. Give four lengths of a flower in cm:
//
//	go run ./examples/predict 5.1 3.5 1.4 0.2
//
// The checkpoint was made by tf.train.Checkpoint(model=model).save("classifier").
package main

import (
	"context"
	"embed"
	"flag"
	"fmt"
	"io/fs"
	"math"
	"os"
	"strconv"

	"github.com/ckpt-go/ckpt"
)

//go:embed model
var embedded embed.FS

var kinds = []string{"small", "middle", "large"}

func main() {
	path := flag.String("checkpoint", "", "use the checkpoint of this `prefix` instead of the embedded one")
	flag.Usage = func() {
		fmt.Fprintln(flag.CommandLine.Output(), "usage: predict [-checkpoint prefix] LENGTH LENGTH LENGTH LENGTH")
		flag.PrintDefaults()
	}
	flag.Parse()
	if err := run(context.Background(), *path, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, path string, args []string) error {
	if len(args) == 0 {
		args = []string{"5.1", "3.5", "1.4", "0.2"}
	}
	input := make([]float32, len(args))
	for i, arg := range args {
		x, err := strconv.ParseFloat(arg, 32)
		if err != nil || math.IsNaN(x) || math.IsInf(x, 0) {
			return fmt.Errorf("predict: %q is no length", arg)
		}
		input[i] = float32(x)
	}
	net, err := load(ctx, path)
	if err != nil {
		return err
	}
	probabilities, err := net.predict(input)
	if err != nil {
		return err
	}
	best := 0
	for i, p := range probabilities {
		fmt.Printf("%-6s %5.1f %%\n", kinds[i], 100*p)
		if p > probabilities[best] {
			best = i
		}
	}
	fmt.Printf("It is a %s one.\n", kinds[best])
	return nil
}

// dense is one layer: kernel [in,out], bias [out].
type dense struct {
	in, out      int
	kernel, bias []float32
}

type network struct{ hidden, output dense }

func load(ctx context.Context, path string) (*network, error) {
	var r *ckpt.Reader
	var err error
	if path != "" {
		r, err = ckpt.Open(ctx, path, nil)
	} else {
		r, err = ckpt.OpenFS(fs.FS(embedded), "model/classifier-1", nil)
	}
	if err != nil {
		return nil, err
	}
	defer r.Close()
	net := new(network)
	if net.hidden, err = layer(ctx, r, "model/hidden"); err != nil {
		return nil, err
	}
	if net.output, err = layer(ctx, r, "model/output"); err != nil {
		return nil, err
	}
	if net.hidden.out != net.output.in || net.output.out != len(kinds) {
		return nil, fmt.Errorf("predict: layers of %d→%d and %d→%d do not make this network",
			net.hidden.in, net.hidden.out, net.output.in, net.output.out)
	}
	return net, nil
}

// layer reads one layer's variables. Their keys are the names of the attributes
// that led to them in Python; `ckpt ls` prints them.
func layer(ctx context.Context, r *ckpt.Reader, name string) (d dense, err error) {
	const variable = "/.ATTRIBUTES/VARIABLE_VALUE"
	kernel, err := r.Tensor(ctx, name+"/kernel"+variable)
	if err != nil {
		return d, err
	}
	if d.kernel, err = ckpt.Read[float32](ctx, r, name+"/kernel"+variable); err != nil {
		return d, err
	}
	if d.bias, err = ckpt.Read[float32](ctx, r, name+"/bias"+variable); err != nil {
		return d, err
	}
	if shape := kernel.Shape(); len(shape) == 2 && int(shape[1]) == len(d.bias) {
		d.in, d.out = int(shape[0]), int(shape[1])
		return d, nil
	}
	return d, fmt.Errorf("predict: %s: kernel %v and bias [%d] are no dense layer", name, kernel.Shape(), len(d.bias))
}

func (d dense) apply(x []float32) []float32 {
	y := append([]float32(nil), d.bias...)
	for i, xi := range x {
		for j := range y {
			y[j] += xi * d.kernel[i*d.out+j]
		}
	}
	return y
}

// predict gives the probability of each kind: softmax(relu(x·hidden)·output).
func (n *network) predict(x []float32) ([]float64, error) {
	if len(x) != n.hidden.in {
		return nil, fmt.Errorf("predict: %d numbers given, the network takes %d", len(x), n.hidden.in)
	}
	h := n.hidden.apply(x)
	for i := range h {
		h[i] = max(h[i], 0)
	}
	logits := n.output.apply(h)
	greatest := logits[0]
	for _, z := range logits {
		greatest = max(greatest, z)
	}
	probabilities := make([]float64, len(logits))
	var sum float64
	for i, z := range logits {
		probabilities[i] = math.Exp(float64(z - greatest))
		sum += probabilities[i]
	}
	for i := range probabilities {
		probabilities[i] /= sum
	}
	return probabilities, nil
}
