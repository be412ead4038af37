package ckpt_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ckpt-go/ckpt"
	"github.com/ckpt-go/ckpt/tensor"
)

type base struct {
	Seed  uint32 `ckpt:"seed"`
	inner int
}

type layer struct {
	Kernel [2][3]float32 `ckpt:"kernel"`
	Bias   []float32     `ckpt:"bias"`
}

type kinds struct {
	base
	I       int
	I8      int8
	U       uint
	U16     []uint16
	F64     float64
	C64     complex64
	C128    [2]complex128
	Flag    bool
	Flags   []bool
	Word    string
	Words   [2]string
	Took    time.Duration
	Matrix  [][2]int32
	Rows    [][]float64
	Layers  []layer
	First   layer
	Var     *ckpt.Variable[float32]
	Value   ckpt.List
	Nothing ckpt.Trackable
	None    *layer
	Config  map[string]int `ckpt:"config,json"`
	Cache   chan int       `ckpt:"-"`
}

func newKinds() *kinds {
	return &kinds{
		base: base{Seed: 7, inner: 1}, I: -1, I8: -2, U: 3, U16: []uint16{4, 5}, F64: 6.5, C64: 7 + 8i, C128: [2]complex128{9, 10i},
		Flag: true, Flags: []bool{true, false}, Word: "w\x00", Words: [2]string{"", "b"}, Took: 11, Matrix: [][2]int32{{1, 2}, {3, 4}},
		Rows: [][]float64{{1}, {2, 3}}, Layers: []layer{{Bias: []float32{1}}, {Kernel: [2][3]float32{{1, 2, 3}, {4, 5, 6}}}},
		First: layer{Bias: []float32{2}}, Var: ckpt.NewScalar("mine", float32(12)), Config: map[string]int{"a": 1},
	}
}

// tree is the same object made of variables.
func tree(k *kinds) *ckpt.Node {
	layerOf := func(path string, l *layer) *ckpt.Node {
		flat := append(append([]float32(nil), l.Kernel[0][:]...), l.Kernel[1][:]...)
		return branch("kernel", ckpt.NewVariable(path+"/kernel", []int64{2, 3}, flat),
			"bias", ckpt.NewVariable(path+"/bias", []int64{int64(len(l.Bias))}, append([]float32{}, l.Bias...)))
	}
	texts := func(name string, shape tensor.Shape, list ...string) *ckpt.StringVariable {
		var elements [][]byte
		for _, s := range list {
			elements = append(elements, []byte(s))
		}
		return ckpt.NewStringVariable(name, shape, elements)
	}
	return branch(
		"seed", ckpt.NewScalar("seed", k.Seed),
		"I", ckpt.NewScalar("I", int64(k.I)),
		"I8", ckpt.NewScalar("I8", k.I8),
		"U", ckpt.NewScalar("U", uint64(k.U)),
		"U16", ckpt.NewVariable("U16", []int64{2}, k.U16),
		"F64", ckpt.NewScalar("F64", k.F64),
		"C64", ckpt.NewScalar("C64", k.C64),
		"C128", ckpt.NewVariable("C128", []int64{2}, k.C128[:]),
		"Flag", ckpt.NewScalar("Flag", k.Flag),
		"Flags", ckpt.NewVariable("Flags", []int64{2}, k.Flags),
		"Word", texts("Word", nil, k.Word),
		"Words", texts("Words", []int64{2}, k.Words[:]...),
		"Took", ckpt.NewScalar("Took", int64(k.Took)),
		"Matrix", ckpt.NewVariable("Matrix", []int64{2, 2}, []int32{1, 2, 3, 4}),
		"Rows", branch("0", ckpt.NewVariable("Rows/0", []int64{1}, k.Rows[0]), "1", ckpt.NewVariable("Rows/1", []int64{2}, k.Rows[1])),
		"Layers", branch("0", layerOf("Layers/0", &k.Layers[0]), "1", layerOf("Layers/1", &k.Layers[1])),
		"First", layerOf("First", &k.First),
		"Var", k.Var,
		"Value", &k.Value,
		"config", ckpt.NewJSON(&k.Config),
	)
}

func TestTrackWritesWhatVariablesWrite(t *testing.T) {
	k := newKinds()
	got := save(t, ckpt.New(ckpt.Objects{"s": ckpt.Track(k)}))
	want := save(t, ckpt.New(ckpt.Objects{"s": tree(k)}))
	for _, name := range []string{got.prefix + ".index", dataOf(got.prefix)} {
		if !bytes.Equal(got.file(t, name), want.file(t, name)) {
			t.Errorf("%s differs; graph: -got +want:\n%s", name, cmp.Diff(got.keys(t), want.keys(t)))
		}
	}
}

func TestTrackRestores(t *testing.T) {
	want := newKinds()
	s := save(t, ckpt.New(ckpt.Objects{"s": ckpt.Track(want)}))
	for _, inPlace := range []bool{false, true} {
		t.Run(fmt.Sprintf("inplace=%v", inPlace), func(t *testing.T) {
			got := &kinds{Layers: make([]layer, 2), Rows: [][]float64{nil, {0, 0}}, Var: scalar(0), Flags: []bool{false, true}}
			flags, row := &got.Flags[0], &got.Rows[1][0]
			status, err := ckpt.New(ckpt.Objects{"s": ckpt.Track(got)}).Restore(t.Context(), s.prefix, &ckpt.RestoreOptions{Bucket: s.bucket, InPlace: inPlace})
			if err != nil {
				t.Fatal(err)
			}
			wantChecks(t, status, "", "", "")
			wantValues(t, "Var", got.Var, 12)
			if flags != &got.Flags[0] || row != &got.Rows[1][0] {
				t.Error("memory of the same length was replaced")
			}
			got.inner, got.Var, got.Value = 1, want.Var, ckpt.List{}
			if diff := cmp.Diff(fmt.Sprintf("%+v", *got), fmt.Sprintf("%+v", *want)); diff != "" {
				t.Errorf("-got +want:\n%s", diff)
			}
		})
	}
}

func TestTrackSlices(t *testing.T) {
	type state struct {
		V      []float32
		Layers []layer
	}
	s := &state{V: []float32{1, 2, 3}, Layers: make([]layer, 1)}
	c := ckpt.New(ckpt.Objects{"s": ckpt.Track(s)})
	three := write(t, c)
	s.V = append(s.V, 4)
	s.Layers = append(s.Layers, layer{Bias: []float32{8}})
	four := write(t, c)
	three.read(t, c)
	if !cmp.Equal(s.V, []float32{1, 2, 3}) || len(s.Layers) != 2 {
		t.Errorf("got %+v", s)
	}
	s.Layers = s.Layers[:1:1]
	wantChecks(t, four.read(t, c), "", "", "")
	if !cmp.Equal(s.V, []float32{1, 2, 3, 4}) || len(s.Layers) != 2 || !cmp.Equal(s.Layers[1].Bias, []float32{8}) {
		t.Errorf("got %+v", s)
	}
	*s = state{V: []float32{9}, Layers: make([]layer, 2)}
	four.read(t, c)
	if !cmp.Equal(s.V, []float32{1, 2, 3, 4}) {
		t.Errorf("a struct that was assigned: got %v", s.V)
	}
	_, err := ckpt.New(ckpt.Objects{"s": branch("V", vector(1))}).Read(t.Context(), four.prefix, &ckpt.RestoreOptions{Bucket: four.bucket})
	wantError(t, "a variable of another length", err, "incompatible")
}

// linked is a struct that leads to itself.
type linked struct {
	V    float32
	Next *linked
}

func TestTrackPointers(t *testing.T) {
	a := &linked{V: 1}
	a.Next = &linked{V: 2, Next: a}
	s := write(t, ckpt.New(ckpt.Objects{"l": ckpt.Track(a)}))
	wantKeys(t, s, "l/Next/V", "l/V")

	b := &linked{}
	status := s.read(t, ckpt.New(ckpt.Objects{"l": ckpt.Track(b)}))
	wantError(t, "CheckConsumed", status.CheckConsumed(), "(root).l.Next.V")
	b.Next = &linked{}
	if err := status.Fill(t.Context()); err != nil {
		t.Fatal(err)
	}
	if b.V != 1 || b.Next.V != 2 {
		t.Errorf("got %v, %v, want 1, 2", b.V, b.Next.V)
	}

	type two struct{ A, B *layer }
	shared := new(layer)
	wantEdges(t, write(t, ckpt.New(ckpt.Objects{"t": ckpt.Track(&two{shared, shared})})).graph(t), 1, "A→2 B→2")
}

func TestTrackOddBytes(t *testing.T) {
	type flags struct {
		One  bool
		Many []bool
	}
	raw := ckpt.New(ckpt.Objects{"f": branch("One", ckpt.NewRawVariable("", tensor.Bool, nil, []byte{7}), "Many", ckpt.NewRawVariable("", tensor.Bool, []int64{3}, []byte{0, 255, 1}))})
	s := write(t, raw)
	for _, inPlace := range []bool{false, true} {
		f := &flags{Many: make([]bool, 3)}
		v := ckpt.NewVariable[bool]("", []int64{3}, nil)
		c := ckpt.New(ckpt.Objects{"f": ckpt.Track(f)})
		o := &ckpt.RestoreOptions{Bucket: s.bucket, InPlace: inPlace}
		if _, err := c.Read(t.Context(), s.prefix, o); err != nil {
			t.Fatal(err)
		}
		if _, err := ckpt.New(ckpt.Objects{"f": branch("Many", v)}).Read(t.Context(), s.prefix, o); err != nil {
			t.Fatal(err)
		}
		for name, b := range map[string][]bool{"field": f.Many, "variable": v.Data()} {
			if !cmp.Equal(b, []bool{false, true, true}) || !f.One {
				t.Errorf("%s: got %v, %v", name, b, f.One)
			}
		}
		b := write(t, c).open(t)
		got, err := b.Tensor(t.Context(), "f/Many"+value)
		if err != nil || !bytes.Equal(got.Bytes(), []byte{0, 1, 1}) {
			t.Errorf("got %v, %v, want bytes 0 1 1", got, err)
		}
	}
}

func TestTrackNilInterface(t *testing.T) {
	type state struct {
		A ckpt.Trackable
		B []ckpt.Trackable
		C *ckpt.Variable[float32]
	}
	s := &state{A: (*ckpt.Variable[float32])(nil), B: []ckpt.Trackable{nil, scalar(1)}}
	wantKeys(t, write(t, ckpt.New(ckpt.Objects{"s": ckpt.Track(s)})), "s/B/1")
}

func TestCT11LeftOut(t *testing.T) {
	type state struct {
		A float32
		B float32 `ckpt:"-"`
	}
	s := &state{1, 2}
	c := ckpt.New(ckpt.Objects{"s": ckpt.Track(s)})
	f := write(t, c)
	wantKeys(t, f, "s/A")
	*s = state{3, 4}
	f.read(t, c)
	if *s != (state{1, 4}) {
		t.Errorf("got %v, want {1 4}", *s)
	}
}

func TestTrackPanics(t *testing.T) {
	for want, target := range map[string]any{
		"pointer to a struct":    layer{},
		"not a <nil>":            nil,
		"Trackable already":      branch(),
		"not a *int":             new(int),
		"which cannot be stored": &struct{ F func() }{},
		"ckpt:\"M,json\"":        &struct{ M map[string]any }{},
		"ckpt:\"K,json\"":        &struct{ K map[int]int }{},
		"use a map of pointers":  &struct{ L map[string]ckpt.List }{},
		"use a map of pointers ": &struct {
			L map[string]struct{ A [2]ckpt.List }
		}{},
		"Rows of":                    &struct{ Rows []chan int }{},
		"which cannot be stored as ": &struct{ P **layer }{},
		"not exported": &struct {
			x int `ckpt:"x"`
		}{},
		"unknown tag option": &struct {
			X int `ckpt:"x,yaml"`
		}{},
		"the same name": &struct {
			A int `ckpt:"B"`
			B int
		}{},
		"no exported fields": &struct{ T time.Time }{},
		"embeds a":           &struct{ *layer }{},
	} {
		t.Run(want, func(t *testing.T) { wantPanic(t, strings.TrimSpace(want), func() { ckpt.Track(target) }) })
	}
}

func TestVariables(t *testing.T) {
	type celsius float32
	v := ckpt.NewVariable("t:0", []int64{2}, []celsius{1, 2})
	if spec := v.Spec(); spec.DType != tensor.Float32 || spec.FullName != "t" {
		t.Errorf("got %+v", spec)
	}
	data := v.Data()
	s := write(t, ckpt.New(ckpt.Objects{"v": v}))
	v.Assign(3, 4)
	s.read(t, ckpt.New(ckpt.Objects{"v": v}))
	if data[0] != 1 || v.Value() != 1 {
		t.Errorf("got %v: the memory was replaced", data)
	}
	shape := tensor.Shape{1}
	w := ckpt.NewVariable[int8]("", shape, nil)
	shape[0] = 5
	if w.Shape()[0] != 1 || w.Spec().FullName != "Variable" {
		t.Errorf("got %v, %q", w.Shape(), w.Spec().FullName)
	}
	for want, fn := range map[string]func(){
		"2 values for shape [3]":  func() { ckpt.NewVariable("x", []int64{3}, []int8{1, 2}) },
		"impossible shape [?]":    func() { ckpt.NewVariable[int8]("x", []int64{-1}, nil) },
		"assigning 1 values to 2": func() { v.Assign(1) },
		"no fixed size":           func() { ckpt.NewRawVariable("x", tensor.String, nil, nil) },
		"3 bytes for bfloat16":    func() { ckpt.NewRawVariable("x", tensor.BFloat16, nil, make([]byte, 3)) },
		"impossible shape [4611":  func() { ckpt.NewRawVariable("x", tensor.Float64, []int64{1 << 62}, nil) },
		"1 strings for shape [2]": func() { ckpt.NewStringVariable("x", []int64{2}, make([][]byte, 1)) },
	} {
		wantPanic(t, want, fn)
	}
}
