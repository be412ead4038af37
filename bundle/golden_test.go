package bundle_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"testing"

	"github.com/ckpt-go/ckpt/storage"
	"github.com/ckpt-go/ckpt/storage/mem"
	"github.com/ckpt-go/ckpt/tensor"
)

// The files TensorFlow 2.15.1, 2.16.2, 2.18.1 and 2.21.0 write, all the same.
//
//	A  tf.train.Checkpoint().save(p)
//	B  tf.train.Checkpoint(step=tf.Variable(7, dtype=tf.int64, name="step"), v=tf.Variable([1.,2.], name="v")).save(p)
//	C  SaveV2 of s = ["", "ab"]
//	E  SaveV2 of v in two slices, "4 0,2" and "4 2,2"
//	F  MergeV2Checkpoints of two SaveV2 with "2 2 0,1:0,2" and "2 2 1,1:0,2" of v
//	G  SaveV2 of int4, empty, bool, bfloat16 and empty string tensors n e b h s
//	H  SaveSlices (V1) of w, "2 0,2", and i
const (
	goldenAData = "010000000000000067a14645130a160a100801120c736176655f636f756e7465722a0208010a4d12470a0e5641524941424c455f56414c5545120c73" +
		"6176655f636f756e7465721a27736176655f636f756e7465722f2e415454524942555445532f5641524941424c455f56414c55452a020801"
	goldenAIndex = "00000608011a020801001c0d5f434845434b504f494e5441424c455f4f424a4543545f4752415048080712002008286c35e2668e9800270b73617665" +
		"5f636f756e7465722f2e415454524942555445532f5641524941424c455f56414c5545080912002808350175de41000000000100000000696ac0a000" +
		"0000000100000000c0f2a1b00001027400720000000001000000008fbe6e9f770884010e000000000000000000000000000000000000000000000000" +
		"000000000000000000000057fb808b247547db"
	goldenBData = "07000000000000000000803f000000400100000000000000f0011809d6930a270a0808011204737465700a0508021201760a100803120c736176655f" +
		"636f756e7465722a0208010a3d12370a0e5641524941424c455f56414c55451204737465701a1f737465702f2e415454524942555445532f56415249" +
		"41424c455f56414c55452a0208010a3712310a0e5641524941424c455f56414c55451201761a1c762f2e415454524942555445532f5641524941424c" +
		"455f56414c55452a0208010a4d12470a0e5641524941424c455f56414c5545120c736176655f636f756e7465721a27736176655f636f756e7465722f" +
		"2e415454524942555445532f5641524941424c455f56414c55452a020801"
	goldenBIndex = "00000608011a020801001c0e5f434845434b504f494e5441424c455f4f424a4543545f475241504808071200201828f60135a2bb601800270d736176" +
		"655f636f756e7465722f2e415454524942555445532f5641524941424c455f56414c55450809120020102808350175de41011e0b7465702f2e415454" +
		"524942555445532f5641524941424c455f56414c554508091200280835bbd79f11001c11762f2e415454524942555445532f5641524941424c455f56" +
		"414c554508011204120208022008280835593ce53500000000010000000039e111dd000000000100000000c0f2a1b00001037700d101000000000100" +
		"000000cbca9e13d60108e3010f0000000000000000000000000000000000000000000000000000000000000000000057fb808b247547db"
	goldenCData  = "0002775199c46162"
	goldenCIndex = "00000608011a02080100010f730807120412020802280835a5dd30810000000001000000001a3ab600000000000100000000c0f2a1b0000102740024" +
		"00000000010000000070bd12762908360e00000000000000000000000000000000000000000000000000000000000000000000000057fb808b247547" +
		"db"
	goldenEData  = "0000803f000000400000404000008040"
	goldenEIndex = "00000608011a02080100080f00760001010180820801120412020802280835593ce535060211828208011204120208022008280835620a976b000116" +
		"7608011204120208043a040a0210023a060a040802100200000000010000000090a1e803000000000100000000c0f2a1b000010277005b0000000001" +
		"000000005d3d113360086d0e00000000000000000000000000000000000000000000000000000000000000000000000057fb808b247547db"
	goldenFData0 = "00000000000000003f"
	goldenFData1 = "010000803f0000c03f"
	goldenFIndex = "00000608021a020801000a1500760001010280818082080112081202080112020802200128083589b0c2300604178181808208011208120208011202" +
		"08021801200128083517f24cdd00010d61080612001801280135052b284300010b6208061200280135d28f2549000122760801120812020802120208" +
		"023a080a0210010a0210023a0a0a04080110010a0210020000000001000000007eb57427000000000100000000c0f2a1b00001037700970100000000" +
		"010000000067ad1ec39c0108a9010f0000000000000000000000000000000000000000000000000000000000000000000057fb808b247547db"
	goldenGData  = "080f00070100c03f00c000a67b113a"
	goldenGIndex = "00000608011a02080100011162080a12041202080220042802355fb0ce810001116508011206120012020803200435d8ea82a200011168080e120412" +
		"02080220062804352e4a56f200010f6e081d12041202080428043568374fcf00010d7308071200200a280535bd6707be000000000100000000bbf0d0" +
		"c3000000000100000000c0f2a1b0000102740074000000000100000000c49e15b7790886010e00000000000000000000000000000000000000000000" +
		"0000000000000000000000000057fb808b247547db"
	goldenHFile = "0000240a220a090a01691200180322000a110a0177120412020802180122040a02100212020801000515006900010012130a016912001a0c3a0affff" +
		"ffffffffffffff010107177700010101808212150a017712040a0210021a0a2a080000803f0000004000000000010000000002e7d3d9000000000100" +
		"000000c0f2a1b000010201006d00000000010000000021b0722372087f0e000000000000000000000000000000000000000000000000000000000000" +
		"00000000000057fb808b247547db"
)

// goldens are the tensors of A, B, C and G in the order they were saved.
func goldens(t testing.TB) []struct {
	name        string
	data, index string
	tensors     []named
} {
	// The object graph is the last tensor of A and B, a string whose length
	// takes a varint and whose bytes end the data file.
	graphA := string(unhex(t, goldenAData)[8+5:])
	graphB := string(unhex(t, goldenBData)[8+8+8+6:])
	return []struct {
		name        string
		data, index string
		tensors     []named
	}{
		{"A", goldenAData, goldenAIndex, []named{
			add[int64](t, "save_counter/.ATTRIBUTES/VARIABLE_VALUE", nil, 1),
			addStrings(t, "_CHECKPOINTABLE_OBJECT_GRAPH", nil, graphA),
		}},
		{"B", goldenBData, goldenBIndex, []named{
			add[int64](t, "step/.ATTRIBUTES/VARIABLE_VALUE", nil, 7),
			add[float32](t, "v/.ATTRIBUTES/VARIABLE_VALUE", tensor.Shape{2}, 1, 2),
			add[int64](t, "save_counter/.ATTRIBUTES/VARIABLE_VALUE", nil, 1),
			addStrings(t, "_CHECKPOINTABLE_OBJECT_GRAPH", nil, graphB),
		}},
		{"C", goldenCData, goldenCIndex, []named{addStrings(t, "s", tensor.Shape{2}, "", "ab")}},
		{"G", goldenGData, goldenGIndex, []named{
			addRaw(t, "n", tensor.Int4, tensor.Shape{4}, "\x08\x0f\x00\x07"),
			add[float32](t, "e", tensor.Shape{0, 3}),
			add(t, "b", tensor.Shape{2}, true, false),
			addRaw(t, "h", tensor.BFloat16, tensor.Shape{2}, "\xc0\x3f\x00\xc0"),
			addStrings(t, "s", nil, ""),
		}},
	}
}

func TestGoldenBytes(t *testing.T) {
	for _, g := range goldens(t) {
		t.Run(g.name, func(t *testing.T) {
			b := mem.New()
			mustSave(t, b, "p", g.tensors...)
			if got, want := get(t, b, "p.data-00000-of-00001"), unhex(t, g.data); !bytes.Equal(got, want) {
				t.Errorf("data: got %x, want %x", got, want)
			}
			if got, want := get(t, b, "p.index"), unhex(t, g.index); !bytes.Equal(got, want) {
				t.Errorf("index: got %x, want %x", got, want)
			}
		})
	}
}

func TestGoldenRead(t *testing.T) {
	for _, g := range goldens(t) {
		t.Run(g.name, func(t *testing.T) {
			b := mem.New()
			put(t, b, "p.index", unhex(t, g.index))
			put(t, b, "p.data-00000-of-00001", unhex(t, g.data))
			r := open(t, b, "p")
			for c := range r.CheckLayout(t.Context()) {
				t.Errorf("CheckLayout: %v", c)
			}
			for _, n := range g.tensors {
				got, err := r.Tensor(t.Context(), n.key)
				if err != nil {
					t.Errorf("%s: %v", n.key, err)
					continue
				}
				if got.DType() != n.t.DType() || !got.Shape().Equal(n.t.Shape()) || !bytes.Equal(got.Bytes(), n.t.Bytes()) ||
					!slices.EqualFunc(got.Strings(), n.t.Strings(), bytes.Equal) {
					t.Errorf("%s: got %v %x %q, want %v %x %q", n.key, got, got.Bytes(), got.Strings(), n.t, n.t.Bytes(), n.t.Strings())
				}
				if err := r.Check(t.Context(), n.key); err != nil {
					t.Errorf("check %s: %v", n.key, err)
				}
			}
		})
	}
}

// TestGoldenD is a table of two blocks, compared by hash.
func TestGoldenD(t *testing.T) {
	b := mem.New()
	var tensors []named
	for k := range 6000 {
		tensors = append(tensors, add(t, fmt.Sprintf("layer/%05d/.ATTRIBUTES/VARIABLE_VALUE", k), nil, float32(k)))
	}
	mustSave(t, b, "p", tensors...)
	index := get(t, b, "p.index")
	sum := sha256.Sum256(index)
	if got, want := hex.EncodeToString(sum[:]), "c433e9449cf46fd1077c8e34a5f18ddcd52e2460face09679015bf57c530a232"; got != want || len(index) != 277956 {
		t.Errorf("got %d bytes of sha256 %s, want 277956 of %s", len(index), got, want)
	}
	r := open(t, b, "p")
	if got := keys(t, r); len(got) != 6000 || got[5999] != "layer/05999/.ATTRIBUTES/VARIABLE_VALUE" {
		t.Errorf("got %d keys", len(got))
	}
	if got := values[float32](t, r, "layer/05667/.ATTRIBUTES/VARIABLE_VALUE"); got[0] != 5667 {
		t.Errorf("got %v, want 5667", got)
	}
}

// putE and putF store the sliced goldens under prefix p.
func putE(t testing.TB, b storage.Bucket) {
	put(t, b, "p.index", unhex(t, goldenEIndex))
	put(t, b, "p.data-00000-of-00001", unhex(t, goldenEData))
}

func putF(t testing.TB, b storage.Bucket) {
	put(t, b, "p.index", unhex(t, goldenFIndex))
	put(t, b, "p.data-00000-of-00002", unhex(t, goldenFData0))
	put(t, b, "p.data-00001-of-00002", unhex(t, goldenFData1))
}

func TestGoldenE(t *testing.T) {
	b := mem.New()
	putE(t, b)
	r := open(t, b, "p")
	if got, want := values[float32](t, r, "v"), []float32{1, 2, 3, 4}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if got, want := keys(t, r), []string{"v"}; !slices.Equal(got, want) {
		t.Errorf("got keys %q, want %q", got, want)
	}
	for c := range r.CheckLayout(t.Context()) {
		t.Errorf("CheckLayout: %v", c)
	}
}

func TestGoldenF(t *testing.T) {
	b := mem.New()
	putF(t, b)
	r := open(t, b, "p")
	if got, want := values[float32](t, r, "v"), []float32{0, 0.5, 1, 1.5}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if got, want := keys(t, r), []string{"a", "b", "v"}; !slices.Equal(got, want) {
		t.Errorf("got keys %q, want %q", got, want)
	}
	if got := values[int8](t, r, "a"); got[0] != 1 {
		t.Errorf("got a = %v, want 1", got)
	}
	if err := r.Check(t.Context(), "v"); err != nil {
		t.Error(err)
	}
	for c := range r.CheckLayout(t.Context()) {
		t.Errorf("CheckLayout: %v", c)
	}
}
