package objectgraph_test

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/ckpt-go/ckpt/objectgraph"
)

// The graphs of three Keras 3 programs in TensorFlow 2.21.0 with Keras
// 3.15.1. One line is one node, from 0: F if it has no values at it or below,
// its children as name→node, and behind @ its tensor as path = full name. A
// line without anything is "-".

const aFresh = `
model→1 optimizer→2 save_counter→3
_functional→4
_variables→5 _trainable_variables→6 _trainable_variables_indices→7 _iterations→8 _learning_rate→9
@ save_counter = save_counter
_tracked→10 _inbound_nodes→11 _outbound_nodes→12 _losses→13 _losses_override→14 call_signature_parameters→15 _call_has_context_arg→16 _operations→17
0→8 1→9
F
F
@ optimizer/_iterations = adam/iteration
@ optimizer/_learning_rate = adam/learning_rate
F
F
F
F
F
F
F
0→18 1→19 2→20
F
_kernel→21 bias→22
_kernel→23 bias→24
@ model/_functional/_operations/1/_kernel = sequential/dense/kernel
@ model/_functional/_operations/1/bias = sequential/dense/bias
@ model/_functional/_operations/2/_kernel = sequential/dense_1/kernel
@ model/_functional/_operations/2/bias = sequential/dense_1/bias`

const aStepped = `
model→1 optimizer→2 save_counter→3
_functional→4
_variables→5 _trainable_variables→6 _trainable_variables_indices→7 _iterations→8 _learning_rate→9 _momentums→10 _velocities→11
@ save_counter = save_counter
_tracked→12 _inbound_nodes→13 _outbound_nodes→14 _losses→15 _losses_override→16 call_signature_parameters→17 _call_has_context_arg→18 _operations→19
0→8 1→9 2→20 3→21 4→22 5→23 6→24 7→25 8→26 9→27
0→28 1→29 2→30 3→31
F
@ optimizer/_iterations = adam/iteration
@ optimizer/_learning_rate = adam/learning_rate
0→20 1→22 2→24 3→26
0→21 1→23 2→25 3→27
F
F
F
F
F
F
F
0→32 1→33 2→34
@ optimizer/_variables/2 = adam/sequential_dense_kernel_momentum
@ optimizer/_variables/3 = adam/sequential_dense_kernel_velocity
@ optimizer/_variables/4 = adam/sequential_dense_bias_momentum
@ optimizer/_variables/5 = adam/sequential_dense_bias_velocity
@ optimizer/_variables/6 = adam/sequential_dense_1_kernel_momentum
@ optimizer/_variables/7 = adam/sequential_dense_1_kernel_velocity
@ optimizer/_variables/8 = adam/sequential_dense_1_bias_momentum
@ optimizer/_variables/9 = adam/sequential_dense_1_bias_velocity
@ optimizer/_trainable_variables/0 = sequential/dense/kernel
@ optimizer/_trainable_variables/1 = sequential/dense/bias
@ optimizer/_trainable_variables/2 = sequential/dense_1/kernel
@ optimizer/_trainable_variables/3 = sequential/dense_1/bias
F
_kernel→28 bias→29
_kernel→30 bias→31`

const bUnbuilt = `
model→1 optimizer→2 step→3 save_counter→4
F dense1→5 dense2→6
_variables→7 _trainable_variables→8 _trainable_variables_indices→9 _iterations→10 _learning_rate→11
@ step = Variable
@ save_counter = save_counter
F
F
0→10 1→11
F
F
@ optimizer/_iterations = adam/iteration
@ optimizer/_learning_rate = adam/learning_rate`

const bBuilt = `
model→1 optimizer→2 step→3 save_counter→4
dense1→5 dense2→6
_variables→7 _trainable_variables→8 _trainable_variables_indices→9 _iterations→10 _learning_rate→11
@ step = Variable
@ save_counter = save_counter
_kernel→12 bias→13
_kernel→14 bias→15
0→10 1→11
F
F
@ optimizer/_iterations = adam/iteration
@ optimizer/_learning_rate = adam/learning_rate
@ model/dense1/_kernel = my_model/kernel
@ model/dense1/bias = my_model/bias
@ model/dense2/_kernel = my_model/kernel
@ model/dense2/bias = my_model/bias`

const bStepped = `
model→1 optimizer→2 step→3 save_counter→4
dense1→5 dense2→6
_variables→7 _trainable_variables→8 _trainable_variables_indices→9 _iterations→10 _learning_rate→11 _momentums→12 _velocities→13
@ step = Variable
@ save_counter = save_counter
_kernel→14 bias→15
_kernel→16 bias→17
0→10 1→11 2→18 3→19 4→20 5→21 6→22 7→23 8→24 9→25
0→14 1→15 2→16 3→17
F
@ optimizer/_iterations = adam/iteration
@ optimizer/_learning_rate = adam/learning_rate
0→18 1→20 2→22 3→24
0→19 1→21 2→23 3→25
@ model/dense1/_kernel = my_model/kernel
@ model/dense1/bias = my_model/bias
@ model/dense2/_kernel = my_model/kernel
@ model/dense2/bias = my_model/bias
@ optimizer/_variables/2 = adam/my_model_dense_kernel_momentum
@ optimizer/_variables/3 = adam/my_model_dense_kernel_velocity
@ optimizer/_variables/4 = adam/my_model_dense_bias_momentum
@ optimizer/_variables/5 = adam/my_model_dense_bias_velocity
@ optimizer/_variables/6 = adam/my_model_dense_1_kernel_momentum
@ optimizer/_variables/7 = adam/my_model_dense_1_kernel_velocity
@ optimizer/_variables/8 = adam/my_model_dense_1_bias_momentum
@ optimizer/_variables/9 = adam/my_model_dense_1_bias_velocity`

const cUnbuilt = `
encoder→1 optimizer→2 save_counter→3
F dense→4
_variables→5 _trainable_variables→6 _trainable_variables_indices→7 _iterations→8 _learning_rate→9
@ save_counter = save_counter
F
0→8 1→9
F
F
@ optimizer/_iterations = adam/iteration
@ optimizer/_learning_rate = adam/learning_rate`

const cBuilt = `
encoder→1 optimizer→2 save_counter→3
dense→4
_variables→5 _trainable_variables→6 _trainable_variables_indices→7 _iterations→8 _learning_rate→9
@ save_counter = save_counter
_kernel→10 bias→11
0→8 1→9
F
F
@ optimizer/_iterations = adam/iteration
@ optimizer/_learning_rate = adam/learning_rate
@ encoder/dense/_kernel = encoder/kernel
@ encoder/dense/bias = encoder/bias`

const cStepped = `
encoder→1 optimizer→2 save_counter→3
dense→4
_variables→5 _trainable_variables→6 _trainable_variables_indices→7 _iterations→8 _learning_rate→9 _momentums→10 _velocities→11
@ save_counter = save_counter
_kernel→12 bias→13
0→8 1→9 2→14 3→15 4→16 5→17
0→12 1→13
F
@ optimizer/_iterations = adam/iteration
@ optimizer/_learning_rate = adam/learning_rate
0→14 1→16
0→15 1→17
@ encoder/dense/_kernel = encoder/kernel
@ encoder/dense/bias = encoder/bias
@ optimizer/_variables/2 = adam/encoder_dense_kernel_momentum
@ optimizer/_variables/3 = adam/encoder_dense_kernel_velocity
@ optimizer/_variables/4 = adam/encoder_dense_bias_momentum
@ optimizer/_variables/5 = adam/encoder_dense_bias_velocity`

const decoderStepped = `
decoder→1 optimizer→2 save_counter→3
dense→4
_variables→5 _trainable_variables→6 _trainable_variables_indices→7 _iterations→8 _learning_rate→9 _momentums→10 _velocities→11
@ save_counter = save_counter
_kernel→12 bias→13
0→8 1→9 2→14 3→15 4→16 5→17
0→12 1→13
F
@ optimizer/_iterations = adam_1/iteration
@ optimizer/_learning_rate = adam_1/learning_rate
0→14 1→16
0→15 1→17
@ decoder/dense/_kernel = decoder/kernel
@ decoder/dense/bias = decoder/bias
@ optimizer/_variables/2 = adam_1/decoder_dense_1_kernel_momentum
@ optimizer/_variables/3 = adam_1/decoder_dense_1_kernel_velocity
@ optimizer/_variables/4 = adam_1/decoder_dense_1_bias_momentum
@ optimizer/_variables/5 = adam_1/decoder_dense_1_bias_velocity`

// parseGraph builds the nodes of one of the texts above and checks that
// SetHasValues and JoinPath agree with it.
func parseGraph(t *testing.T, text string) *objectgraph.Graph {
	t.Helper()
	g := new(objectgraph.Graph)
	var want []objectgraph.HasValues
	for line := range strings.SplitSeq(strings.TrimSpace(text), "\n") {
		var n objectgraph.Node
		has := objectgraph.ValuesTrue
		words := strings.Fields(line)
		for i, word := range words {
			name, child, isEdge := strings.Cut(word, "→")
			switch {
			case word == "F":
				has = objectgraph.ValuesFalse
			case word == "@":
				n.Attributes = []objectgraph.Attribute{{
					Name:     objectgraph.VariableValue,
					FullName: words[i+3],
					Key:      objectgraph.AttributeKey(words[i+1], objectgraph.VariableValue),
				}}
			case isEdge:
				id, err := strconv.Atoi(child)
				if err != nil {
					t.Fatal(err)
				}
				n.Children = append(n.Children, objectgraph.Edge{Name: name, Node: id})
			}
		}
		g.Nodes = append(g.Nodes, n)
		want = append(want, has)
	}
	g.SetHasValues()
	for i := range want {
		if got := g.Nodes[i].HasValues; got != want[i] {
			t.Errorf("node %d: HasValues = %d, want %d", i, got, want[i])
		}
	}
	return g
}

func TestPrograms(t *testing.T) {
	decoder := strings.NewReplacer("encoder", "decoder", "adam/", "adam_1/")
	named := strings.NewReplacer("step = Variable", "step = global_step")
	second := strings.NewReplacer("adam/", "adam_1/", "sequential", "sequential_1", "dense_1", "dense_3", "dense", "dense_2")
	for _, tc := range []struct {
		name   string
		text   string
		size   int
		sha256 string
	}{
		{"A fresh", aFresh, 1237, "2a0c265a86b7baa336beb73288cb44e1206cd23fbe235b189eb42a5f11c30805"},
		{"A stepped", aStepped, 2315, "acad9e8c176f0c4111393bbf6a55da1556fa53496189f47072604095a95a850a"},
		{"B unbuilt", bUnbuilt, 576, "54d6c929dce0a3a8b7d0ab47ffa40dcf20bb28eb6e64b642ecf9d65de62de9c5"},
		{"B built", bBuilt, 978, "ae8c9e91742e449805e1f2f8535da17075121a46a820ddce3fdf28beb6f3efe6"},
		{"B stepped", bStepped, 2062, "62dd8b65900c64f8a0dec84b2f911912e9e516f7a6af115e4a9fa848d92837ac"},
		{"C encoder unbuilt", cUnbuilt, 484, "f182b45c6ab022991980ecadcd58bff0811a157476173aa91a8a04eb3a2f82e0"},
		{"C encoder built", cBuilt, 686, "c8f5391382e282fd91e459c829d24fecbc1b63476cbd77935b3021033a32773a"},
		{"C encoder stepped", cStepped, 1244, "eb5a002f76d619a58e785c16a0acb1fbeec9aded28c98d02587d5de3abe5c3dd"},
		{"C decoder unbuilt", decoder.Replace(cUnbuilt), 488, "d7676f3ed7ad711454b2564904014048c8ff9027cd7e714e877d356d3e957f10"},
		{"C decoder built", decoder.Replace(cBuilt), 690, "919cc2c209c32a81c9925fc3ba8dae697d87379a12d4beb981363f4d02278eef"},
		{"C decoder stepped", decoderStepped, 1264, "b35b5cc411d09b06de4dea43725ceb60b05260e45c7f0ee6f53a200260367e7d"},
		{"B named unbuilt", named.Replace(bUnbuilt), 579, "36cffb41cbfeb94c03364404821a965b233207ed8f8b842ac56e176b487e7e5e"},
		{"B named built", named.Replace(bBuilt), 981, "daf45260d2f71cb5da511377e8d04633f9f14e669f18a48478d0f9f78941d724"},
		{"B named stepped", named.Replace(bStepped), 2065, "2628091549b95e078e879370c55ebe5dc9eec8a48474633da024a2ce7e39eee5"},
		{"A second time fresh", second.Replace(aFresh), 1253, "64c5000696846d760d46e2d85dc5c5c118f9281462ab5c2a26dbda945ace6d59"},
		{"A second time stepped", second.Replace(aStepped), 2371, "faf9cd5469261c049927d587c52759a9efb2c5e12291c812b3d101a8e707377a"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			g := parseGraph(t, tc.text)
			got := g.Append(nil)
			if sum := fmt.Sprintf("%x", sha256.Sum256(got)); len(got) != tc.size || sum != tc.sha256 {
				t.Errorf("got %d bytes, sha256 %s, want %d, %s", len(got), sum, tc.size, tc.sha256)
			}
			back, err := objectgraph.Decode(got)
			if err != nil {
				t.Fatal(err)
			}
			if again := back.Append(nil); !bytes.Equal(again, got) {
				t.Errorf("decoded and encoded again: %x, want %x", again, got)
			}
			checkOrder(t, back)
		})
	}
}

// checkOrder checks that nodes are numbered breadth-first and that the paths
// behind keys are the first shortest ones, which is how TensorFlow makes them.
func checkOrder(t *testing.T, g *objectgraph.Graph) {
	t.Helper()
	order := g.Descendants()
	if len(order) != len(g.Nodes) {
		t.Fatalf("%d of %d nodes are reached", len(order), len(g.Nodes))
	}
	paths := map[int]string{0: ""}
	for i, node := range order {
		if node != i {
			t.Fatalf("node %d comes %d-th", node, i)
		}
		for _, e := range g.Nodes[node].Children {
			if _, ok := paths[e.Node]; !ok {
				paths[e.Node] = objectgraph.JoinPath(paths[node], e.Name)
			}
		}
		for _, a := range g.Nodes[node].Attributes {
			if want := objectgraph.AttributeKey(paths[node], a.Name); a.Key != want {
				t.Errorf("node %d: key %s, want %s", node, a.Key, want)
			}
		}
	}
}
