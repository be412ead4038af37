package ckpt_test

import (
	"errors"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/ckpt-go/ckpt"
	"github.com/ckpt-go/ckpt/bundle"
	"github.com/ckpt-go/ckpt/storage"
	"github.com/ckpt-go/ckpt/storage/mem"
	"github.com/ckpt-go/ckpt/tensor"
)

// writeNames writes a file as TensorFlow 1's Saver does: names and no graph.
func writeNames(t testing.TB, b storage.Bucket, prefix string, values map[string]*tensor.Tensor) saved {
	t.Helper()
	w, err := bundle.Create(t.Context(), b, prefix, nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, x := range values {
		if err := w.Add(t.Context(), name, x.DType(), x.Shape(), chunks([][]byte{x.Bytes()})); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	return saved{b, prefix}
}

func tensorOf[T tensor.Element](t testing.TB, shape tensor.Shape, values ...T) *tensor.Tensor {
	t.Helper()
	x, err := tensor.Of(shape, values)
	if err != nil {
		t.Fatal(err)
	}
	return x
}

// nameFile is the file of the conformance rows: a is 1 and scope/b is [2,3].
func nameFile(t testing.TB) saved {
	return writeNames(t, mem.New(), "m", map[string]*tensor.Tensor{
		"a": tensorOf[float32](t, nil, 1), "scope/b": tensorOf[float32](t, tensor.Shape{2}, 2, 3),
	})
}

// called is a variable of zeros with a full name; no length is a scalar.
func called(name string, length ...int64) *ckpt.Variable[float32] {
	return ckpt.NewVariable[float32](name, length, nil)
}

func TestNB1ReadByFullName(t *testing.T) {
	s := nameFile(t)
	a, b, zz := called("a"), called("scope/b", 2), called("zz")
	c := ckpt.New(ckpt.Objects{"x": a, "deep": branch("list", ckpt.NewList(b)), "empty": branch()})
	status := s.read(t, c)
	wantChecks(t, status, "", "", "")
	wantValues(t, "a", a, 1)
	wantValues(t, "scope/b", b, 2, 3)
	if got := status.Waiting(); len(got) != 0 {
		t.Errorf("Waiting: got %q, want none", got)
	}

	c = ckpt.New(ckpt.Objects{"x": a, "other": zz})
	zz.Assign(5)
	status = s.read(t, c)
	const want = `attributes which were not restored: (root).other; it is a name-based checkpoint, as TensorFlow 1 wrote them, and has no "zz"; it has "scope/b", which`
	wantChecks(t, status, want, want, want)
	wantValues(t, "zz", zz, 5)
	if got, want := status.Unused(), []string{"scope/b"}; !slices.Equal(got, want) {
		t.Errorf("Unused: got %q, want %q", got, want)
	}
	if got := status.Warnings(); len(got) != 0 {
		t.Errorf("Warnings: got %q, want none", got)
	}
}

// What TensorFlow wrote: a bundle with slices, a V1 file, the pattern of a
// sharded V1 file, and files of strangers.
func TestNB2Formats(t *testing.T) {
	const names, wild = "testdata/tensorflow-2.21.0-names/", "../shared/wild/"
	for _, path := range []string{
		names + "saver-5", names + "v1", names + "v1-sharded-?????-of-00001",
		wild + "tf1-estimator-name-based/model.ckpt-1000", wild + "tf1-v1-format/save-60000",
	} {
		t.Run(path, func(t *testing.T) {
			if _, err := os.Stat(wild); err != nil && strings.HasPrefix(path, wild) {
				t.Skip("the checkpoints of strangers are not on this machine")
			}
			readByNames(t, path)
		})
	}
}

// readByNames restores every tensor of a file into a variable of its name.
func readByNames(t *testing.T, path string) {
	r, err := ckpt.Open(t.Context(), path, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	objects := make(ckpt.Objects)
	want := make(map[string]*tensor.Tensor)
	for v, err := range r.Variables() {
		if err != nil {
			t.Fatal(err)
		}
		if want[v.Name], err = r.Tensor(t.Context(), v.Name); err != nil {
			t.Fatal(err)
		}
		if v.DType == tensor.String {
			objects[v.Name] = ckpt.NewStringVariable(v.Name, v.Shape, nil)
		} else {
			objects[v.Name] = ckpt.NewRawVariable(v.Name, v.DType, v.Shape, nil)
		}
	}
	if len(want) == 0 {
		t.Fatal("no tensors")
	}
	status, err := ckpt.New(objects).Read(t.Context(), path, nil)
	if err != nil {
		t.Fatal(err)
	}
	wantChecks(t, status, "", "", "")
	for name, x := range want {
		switch v := objects[name].(type) {
		case *ckpt.RawVariable:
			if got := v.Bytes(); !slices.Equal(got, x.Bytes()) {
				t.Errorf("%s: got %x, want %x", name, got, x.Bytes())
			}
		case *ckpt.StringVariable:
			if got := v.Elements(); !slices.EqualFunc(got, x.Strings(), slices.Equal) {
				t.Errorf("%s: got %q, want %q", name, got, x.Strings())
			}
		}
	}
	t.Logf("%d tensors", len(want))
}

func TestNB3Deferred(t *testing.T) {
	s := nameFile(t)
	c := ckpt.New(nil)
	status := s.read(t, c)
	wantChecks(t, status, "", "", "")
	if got, want := status.Waiting(), []string{"a", "scope/b"}; !slices.Equal(got, want) {
		t.Errorf("Waiting: got %q, want %q", got, want)
	}
	a, b, zz := called("a"), called("scope/b", 2), called("zz")
	if err := c.Track("v", a); err != nil {
		t.Fatal(err)
	}
	wantValues(t, "a", a, 1)
	wantChecks(t, status, "", "", "")
	// A whole tree, and what is tracked in it afterwards.
	module := branch("inner", branch())
	if err := c.Track("module", branch("list", ckpt.NewList(module))); err != nil {
		t.Fatal(err)
	}
	if err := module.Child("inner").(*ckpt.Node).Track("b", b); err != nil {
		t.Fatal(err)
	}
	wantValues(t, "scope/b", b, 2, 3)
	wantChecks(t, status, "", "", "")
	if err := c.Track("zz", zz); err != nil {
		t.Fatal(err)
	}
	wantChecks(t, status, `has no "zz"`, `has no "zz"`, `has no "zz"`)
}

func TestNameDeferredTree(t *testing.T) {
	s := nameFile(t)
	root := branch()
	c, err := ckpt.NewRooted(root, ckpt.Objects{"side": branch()})
	if err != nil {
		t.Fatal(err)
	}
	status := s.restore(t, c)
	a, b := called("a"), called("scope/b", 2)
	loop := branch("a", a)
	if err := loop.Track("back", root); err != nil {
		t.Fatal(err)
	}
	if err := root.Track("loop", loop); err != nil {
		t.Fatal(err)
	}
	if err := c.Child("side").(*ckpt.Node).Track("b", b); err != nil {
		t.Fatal(err)
	}
	wantValues(t, "a", a, 1)
	wantValues(t, "scope/b", b, 2, 3)
	wantChecks(t, status, "", "", "")
}

func TestNameMisfits(t *testing.T) {
	s := nameFile(t)
	for _, test := range []struct {
		name string
		b    ckpt.Trackable
		want string
	}{
		{"shape", called("scope/b", 3), "incompatible tensor with shape [2] for a variable with shape [3]"},
		{"dtype", ckpt.NewVariable[int32]("scope/b", []int64{2}, nil), "expected dtype int32 does not equal original dtype float"},
	} {
		t.Run(test.name, func(t *testing.T) {
			a := called("a")
			c := ckpt.New(ckpt.Objects{"a": a, "b": test.b})
			_, err := c.Read(t.Context(), s.prefix, &ckpt.RestoreOptions{Bucket: s.bucket})
			var m *ckpt.MismatchError
			if !errors.As(err, &m) || m.Key != "scope/b" {
				t.Errorf("got %v, want a *MismatchError of scope/b", err)
			}
			wantError(t, "Read", err, test.want)
			wantValues(t, "a", a, 0)

			// Later the same: the object is not tracked, and the right one may come.
			c, b := ckpt.New(nil), called("scope/b", 2)
			status := s.read(t, c)
			wantError(t, "Track", c.Track("both", branch("a", a, "b", test.b)), test.want)
			wantValues(t, "a", a, 0)
			if c.Child("both") != nil {
				t.Error("the misfit is tracked")
			}
			if err := c.Track("both", branch("a", a, "b", b)); err != nil {
				t.Fatal(err)
			}
			wantValues(t, "a", a, 1)
			wantValues(t, "b", b, 2, 3)
			wantChecks(t, status, "", "", "")
		})
	}
}

// Names that repeat stand for nothing if the checkpoint has them; TensorFlow
// gives both objects the same value.
func TestNamesThatRepeat(t *testing.T) {
	s := nameFile(t)
	x, y := called("a"), called("a")
	const want = `two objects of the program have the full name "a" of one of its values, `
	_, err := ckpt.New(ckpt.Objects{"x": x, "y": branch("z", y)}).Read(t.Context(), s.prefix, &ckpt.RestoreOptions{Bucket: s.bucket})
	wantError(t, "Read", err, want+"nothing was restored: (root).x, (root).y.z; ")
	if !errors.Is(err, ckpt.ErrMismatch) {
		t.Errorf("got %v, want ErrMismatch", err)
	}
	wantValues(t, "x", x, 0)

	// One object in two places, and repeated names that are not stored.
	c := ckpt.New(ckpt.Objects{"x": x, "again": branch("x", x), "p": called("p"), "q": called("p")})
	status := s.read(t, c)
	wantValues(t, "x", x, 1)
	wantChecks(t, status, `(root).p, (root).q; `, "(root).q", "(root).q")

	// Later, too; but one that was replaced is no longer meant.
	wantError(t, "Track", c.Track("y", y), want+"none of the objects that appeared now was set: (root).x, (root).y; ")
	wantValues(t, "y", y, 0)
	c = ckpt.New(ckpt.Objects{"x": x})
	status = s.read(t, c)
	if err := c.Replace("x", y); err != nil {
		t.Fatal(err)
	}
	wantChecks(t, status, "Object not restored: (root).x", "(root).x", "(root).x")
	if err := status.Fill(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantValues(t, "y", y, 1)
	wantChecks(t, status, "", "", "")
	if err := status.Close(); err != nil {
		t.Fatal(err)
	}
	z := called("a")
	if err := c.Track("z", z); err != nil {
		t.Fatal(err)
	}
	wantValues(t, "z", z, 0)
}

func TestNameHints(t *testing.T) {
	s := writeNames(t, mem.New(), "m", map[string]*tensor.Tensor{
		"dense/kernel": tensorOf[float32](t, nil, 1), "dense/bias": tensorOf[float32](t, nil, 1), "global_step": tensorOf[int64](t, nil, 1),
	})
	status := s.read(t, ckpt.New(ckpt.Objects{"k": called("dense/kernl"), "state": ckpt.NewJSON(new(int))}))
	wantError(t, "CheckConsumed", status.CheckConsumed(),
		`(root).k, (root).state; it is a name-based checkpoint, as TensorFlow 1 wrote them, and has no "dense/kernl" (did you mean "dense/kernel" or "dense/bias"?), "py_state"; `+
			`it has "dense/bias", "dense/kernel", "global_step", which the program has not`)
}

// An object gets all of its values or none.
func TestNamesOfSeveralTensors(t *testing.T) {
	table := func() *tensorsOf { return &tensorsOf{values: []ckpt.Value{called("t-keys"), called("t-values")}} }
	first := map[string]*tensor.Tensor{"t-keys": tensorOf[float32](t, nil, 1)}
	x := table()
	status := writeNames(t, mem.New(), "m", first).read(t, ckpt.New(ckpt.Objects{"x": x}))
	wantChecks(t, status, `has no "t-values"`, "(root).x", "(root).x")
	wantValues(t, "keys", x.values[0].(*ckpt.Variable[float32]), 0)
	first["t-values"] = tensorOf[float32](t, nil, 2)
	wantChecks(t, writeNames(t, mem.New(), "m", first).read(t, ckpt.New(ckpt.Objects{"x": x})), "", "", "")
	wantValues(t, "keys", x.values[0].(*ckpt.Variable[float32]), 1)
	wantValues(t, "values", x.values[1].(*ckpt.Variable[float32]), 2)
}

// tensorsOf is an object without a mark that holds several tensors.
type tensorsOf struct {
	lister
	values []ckpt.Value
}

func (o *tensorsOf) Values() []ckpt.Value { return o.values }

func TestNameCounter(t *testing.T) {
	values := map[string]*tensor.Tensor{"a": tensorOf[float32](t, nil, 1), "save_counter": tensorOf[int64](t, nil, 7)}
	s := writeNames(t, mem.New(), "m", values)
	c := ckpt.New(ckpt.Objects{"a": called("a")})
	wantChecks(t, s.restore(t, c), "", "", "")
	if got := c.SaveCounter(); got != 7 {
		t.Errorf("restored: got counter %d, want 7", got)
	}
	// Without it Restore makes one that nobody misses, but Read then Save do not.
	c = ckpt.New(ckpt.Objects{"a": called("a")})
	wantChecks(t, nameFile(t).restore(t, c), "", "", "")
	for want, from := range map[string]saved{"z-8": s, "z-1": nameFile(t)} {
		c = ckpt.New(ckpt.Objects{"a": called("a")})
		status := from.read(t, c)
		if got, err := c.Save(t.Context(), "z", &ckpt.SaveOptions{Bucket: mem.New()}); err != nil || got != want {
			t.Errorf("saved: got %s, %v, want %s", got, err, want)
		}
		unmatched := ""
		if want == "z-1" {
			unmatched = "(root).save_counter"
		}
		wantChecks(t, status, unmatched, unmatched, unmatched)
	}
}
