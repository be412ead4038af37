package ckpt_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ckpt-go/ckpt"
	"github.com/ckpt-go/ckpt/objectgraph"
	"github.com/ckpt-go/ckpt/storage/mem"
	"github.com/ckpt-go/ckpt/tensor"
)

const value = "/.ATTRIBUTES/VARIABLE_VALUE"

func TestRS1CustomNumbering(t *testing.T) {
	dir := t.TempDir()
	step := ckpt.NewScalar("step", int64(0))
	c := ckpt.New(ckpt.Objects{"step": step})
	for range 5 {
		prefix := filepath.Join(dir, fmt.Sprintf("prefix-%d", step.Value()))
		got, err := c.Write(t.Context(), prefix, nil)
		if err != nil || got != prefix {
			t.Errorf("got %q, %v, want %q", got, err, prefix)
		}
		step.Assign(step.Value() + 2)
	}
	if _, err := os.Stat(filepath.Join(dir, "checkpoint")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("state file: got %v, want none", err)
	}
	r, err := ckpt.Open(t.Context(), filepath.Join(dir, "prefix-8"), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if r.Has("save_counter" + value) {
		t.Error("Write wrote a save_counter")
	}
}

func TestRS2WriteAndRead(t *testing.T) {
	v := scalar(1)
	c := ckpt.New(ckpt.Objects{"v": v})
	s := write(t, c)
	fresh := scalar(0)
	d := ckpt.New(ckpt.Objects{"v": fresh})
	wantChecks(t, s.read(t, d), "", "", "")
	wantValues(t, "v", fresh, 1)
	v.Assign(3)
	if _, err := c.Write(t.Context(), s.prefix, &ckpt.SaveOptions{Bucket: s.bucket}); err != nil {
		t.Fatal(err)
	}
	s.read(t, d)
	wantValues(t, "v", fresh, 3)
}

func TestRS3RestoreOfWritten(t *testing.T) {
	s := write(t, ckpt.New(ckpt.Objects{"v": scalar(1)}))
	wantChecks(t, s.read(t, ckpt.New(ckpt.Objects{"v": scalar(0)})), "", "", "")
	c := ckpt.New(ckpt.Objects{"v": scalar(0)})
	wantChecks(t, s.restore(t, c), "(root).save_counter", "(root).save_counter", "")
	if got := c.SaveCounter(); got != 0 {
		t.Errorf("got counter %d, want 0", got)
	}
	// The other way round: what Save wrote, read.
	saved := save(t, ckpt.New(ckpt.Objects{"v": scalar(1)}))
	wantChecks(t, saved.read(t, ckpt.New(ckpt.Objects{"v": scalar(0)})), "(root).save_counter", "", "")
}

func TestRS4StatusOutlivesCheckpoint(t *testing.T) {
	status := save(t, ckpt.New(ckpt.Objects{"v": scalar(0)})).restore(t, ckpt.New(ckpt.Objects{"v": scalar(1)}))
	runtime.GC()
	wantChecks(t, status, "", "", "")
}

func TestRS9EmptyPath(t *testing.T) {
	v := scalar(5)
	c := ckpt.New(ckpt.Objects{"v": v})
	status, err := c.Restore(t.Context(), "", nil)
	if err != nil {
		t.Fatal(err)
	}
	const nothing = "no checkpoint specified"
	wantChecks(t, status, nothing, nothing, nothing)
	if len(status.Waiting())+len(status.Unused())+len(status.Warnings()) != 0 || status.Prefix() != "" {
		t.Error("the status of nothing lists something")
	}
	if err := errors.Join(status.Fill(t.Context()), status.Close()); err != nil {
		t.Error(err)
	}
	wantValues(t, "v", v, 5)
	wantKeys(t, write(t, c), "v")
}

func TestRS12AmbiguousLoad(t *testing.T) {
	shared := branch("var", scalar(7))
	s := write(t, ckpt.New(ckpt.Objects{"a": shared, "b": shared}))
	for _, deferred := range []bool{false, true} {
		t.Run(fmt.Sprintf("deferred=%v", deferred), func(t *testing.T) {
			x, y := scalar(0), scalar(0)
			a, b := branch("var", x), branch("var", y)
			c := ckpt.New(nil)
			if !deferred {
				c = ckpt.New(ckpt.Objects{"a": a, "b": b})
			}
			status := s.read(t, c)
			if deferred {
				if err := errors.Join(c.Track("a", a), c.Track("b", b)); err != nil {
					t.Fatal(err)
				}
			}
			wantValues(t, "first", x, 7)
			wantValues(t, "second", y, 0)
			wantChecks(t, status, "Found 1 objects", "Found 1 objects", "")
			if w := status.Warnings(); len(w) != 1 || !strings.Contains(w[0], "Inconsistent references") {
				t.Errorf("got warnings %q, want one", w)
			}
		})
	}
}

// Two stored objects and one live one: the first node's value.
func TestTwoNodesOneObject(t *testing.T) {
	s := write(t, ckpt.New(ckpt.Objects{"a": scalar(1), "b": scalar(2)}))
	v := scalar(0)
	wantChecks(t, s.read(t, ckpt.New(ckpt.Objects{"a": v, "b": v})), "", "", "")
	wantValues(t, "v", v, 1)
}

func TestRS14Loop(t *testing.T) {
	first, _ := loop(vector(3, 1, 4), vector(1, 1, 2, 3))
	saveRoot, err := ckpt.NewRooted(first, nil)
	if err != nil {
		t.Fatal(err)
	}
	s := save(t, saveRoot)

	one, two := branch(), branch()
	c, err := ckpt.NewRooted(one, nil)
	if err != nil {
		t.Fatal(err)
	}
	status := s.restore(t, c)
	if err := errors.Join(one.Track("second", two), two.Track("first", one)); err != nil {
		t.Fatal(err)
	}
	wantError(t, "CheckConsumed", status.CheckConsumed(), "(root).v, (root).second.v")
	v, w := vector(0, 0, 0), vector(0, 0, 0, 0)
	if err := one.Track("v", v); err != nil {
		t.Fatal(err)
	}
	wantError(t, "CheckConsumed", status.CheckConsumed(), "(root).second.v")
	if err := two.Track("v", w); err != nil {
		t.Fatal(err)
	}
	wantChecks(t, status, "", "", "")
	for range 2 {
		wantValues(t, "v", v, 3, 1, 4)
		wantValues(t, "second.v", w, 1, 1, 2, 3)
		v.Assign(0, 0, 0)
		w.Assign(0, 0, 0, 0)
		wantChecks(t, s.restore(t, c), "", "", "")
	}
}

func TestRS15TenSaves(t *testing.T) {
	dir := t.TempDir()
	c := ckpt.New(ckpt.Objects{"v": scalar(1)})
	for i := range 10 {
		want := filepath.Join(dir, fmt.Sprintf("ckpt-%d", i+1))
		if got, err := c.Save(t.Context(), filepath.Join(dir, "ckpt"), nil); err != nil || got != want {
			t.Errorf("got %q, %v, want %q", got, err, want)
		}
	}
	list, err := os.ReadDir(dir)
	if err != nil || len(list) != 21 {
		t.Errorf("got %d files, %v, want 21", len(list), err)
	}
}

func TestRS16ChangingVariables(t *testing.T) {
	b := mem.New()
	o := &ckpt.SaveOptions{Bucket: b}
	c := ckpt.New(nil)
	var vars []*ckpt.Variable[float32]
	for i := range 10 {
		vars = append(vars, scalar(float32(i)))
		if err := c.Track(fmt.Sprintf("var_%d", i), vars[i]); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Save(t.Context(), "ckpt", o); err != nil {
			t.Fatal(err)
		}
	}
	for _, test := range []struct{ number, restored int }{{6, 6}, {10, 10}} {
		for _, v := range vars {
			v.Assign(314)
		}
		saved{b, fmt.Sprintf("ckpt-%d", test.number)}.restore(t, c)
		for i, v := range vars {
			want := float32(i)
			if i >= test.restored {
				want = 314
			}
			wantValues(t, fmt.Sprintf("ckpt-%d: var_%d", test.number, i), v, want)
		}
		if got := c.SaveCounter(); got != int64(test.number) {
			t.Errorf("got counter %d, want %d", got, test.number)
		}
	}
}

func TestRS19Layouts(t *testing.T) {
	m := branch("v", scalar(3))
	c, err := ckpt.NewRooted(m, ckpt.Objects{"separate_variable": scalar(5)})
	if err != nil {
		t.Fatal(err)
	}
	s := save(t, c)
	v, separate := scalar(0), scalar(0)
	for name, make := range map[string]func() (*ckpt.Checkpoint, error){
		"same": func() (*ckpt.Checkpoint, error) {
			return ckpt.NewRooted(branch("v", v), ckpt.Objects{"separate_variable": separate})
		},
		"the other way round": func() (*ckpt.Checkpoint, error) {
			return ckpt.NewRooted(branch("separate_variable", separate), ckpt.Objects{"v": v})
		},
		"no root": func() (*ckpt.Checkpoint, error) {
			return ckpt.New(ckpt.Objects{"v": v, "separate_variable": separate}), nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			v, separate = scalar(0), scalar(0)
			c, err := make()
			if err != nil {
				t.Fatal(err)
			}
			status := s.restore(t, c)
			wantChecks(t, status, "", "", "")
			if len(status.Waiting()) != 0 {
				t.Errorf("waiting: %v", status.Waiting())
			}
			wantValues(t, "v", v, 3)
			wantValues(t, "separate_variable", separate, 5)
			if got := c.SaveCounter(); got != 1 {
				t.Errorf("got counter %d, want 1", got)
			}
			save(t, c)
		})
	}
}

// What hangs below the root comes before what is attached to it, however deep.
func TestRootBeforeAttached(t *testing.T) {
	shared := scalar(5)
	c, err := ckpt.NewRooted(branch("a", branch("deep", shared)), ckpt.Objects{"z": shared})
	if err != nil {
		t.Fatal(err)
	}
	s := write(t, c)
	deep, attached := scalar(0), scalar(0)
	if c, err = ckpt.NewRooted(branch("a", branch("deep", deep)), ckpt.Objects{"z": attached}); err != nil {
		t.Fatal(err)
	}
	s.read(t, c)
	wantValues(t, "deep", deep, 5)
	wantValues(t, "attached", attached, 0)
}

func TestRS20SavedModel(t *testing.T) {
	dir := t.TempDir()
	model := filepath.Join(dir, "model")
	if err := os.MkdirAll(filepath.Join(model, "variables"), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(model, "saved_model.pb"), nil, 0o666); err != nil {
		t.Fatal(err)
	}
	if _, err := ckpt.New(ckpt.Objects{"v": scalar(2), "deferred": scalar(5)}).Write(t.Context(), filepath.Join(model, "variables", "variables"), nil); err != nil {
		t.Fatal(err)
	}
	v := scalar(0)
	c := ckpt.New(ckpt.Objects{"v": v})
	if _, err := c.Restore(t.Context(), model, nil); err != nil {
		t.Fatal(err)
	}
	deferred := scalar(0)
	if err := c.Track("deferred", deferred); err != nil {
		t.Fatal(err)
	}
	wantValues(t, "v", v, 2)
	wantValues(t, "deferred", deferred, 5)

	_, err := c.Restore(t.Context(), model+"no", nil)
	wantError(t, "missing", err, model+"no")
	wantError(t, "missing", err, "-1")
	if !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v, want fs.ErrNotExist", err)
	}
	_, err = c.Read(t.Context(), model, nil)
	wantError(t, "Read of a directory", err, "is a directory")
	_, err = c.Restore(t.Context(), dir, nil)
	wantError(t, "Restore of a directory", err, "is a directory")
}

// A missing data file is not a wrong path.
func TestMissingDataFileGivesNoHint(t *testing.T) {
	s := write(t, ckpt.New(ckpt.Objects{"v": scalar(2)}))
	if err := s.bucket.Remove(t.Context(), dataOf(s.prefix)); err != nil {
		t.Fatal(err)
	}
	_, err := ckpt.New(ckpt.Objects{"v": scalar(2)}).Read(t.Context(), s.prefix, &ckpt.RestoreOptions{Bucket: s.bucket})
	if !errors.Is(err, fs.ErrNotExist) || strings.Contains(err.Error(), "is the path right") {
		t.Errorf("got %v, want fs.ErrNotExist without a hint", err)
	}
}

// snapshot is everything a failed restore must leave alone.
type snapshot struct {
	Bits    map[string][]uint32
	Counter int64
	Keys    []string
}

// standing is a program in use.
type standing struct {
	c    *ckpt.Checkpoint
	a, b *ckpt.Variable[float32]
	name *ckpt.StringVariable
	json map[string]int
	node *ckpt.Node
}

func newStanding() *standing {
	s := &standing{
		a: scalar(float32(math.NaN())), b: vector(1, 2, 3), json: map[string]int{"x": 1}, node: branch(),
		name: ckpt.NewStringVariable("name", []int64{1}, [][]byte{[]byte("old")}),
	}
	s.c = ckpt.New(ckpt.Objects{"a": s.a, "b": s.b, "name": s.name, "json": ckpt.NewJSON(&s.json), "node": s.node})
	return s
}

func (s *standing) look(t *testing.T) snapshot {
	t.Helper()
	bits := make(map[string][]uint32)
	for name, v := range map[string]*ckpt.Variable[float32]{"a": s.a, "b": s.b} {
		for _, x := range v.Data() {
			bits[name] = append(bits[name], math.Float32bits(x))
		}
	}
	bits["name "+string(s.name.Elements()[0])+fmt.Sprint(s.json)] = nil
	var keys []string
	for _, e := range write(t, s.c).graph(t).Nodes[0].Children {
		keys = append(keys, e.Name)
	}
	return snapshot{bits, s.c.SaveCounter(), keys}
}

// good is a checkpoint that fits a standing program.
func good(t *testing.T) saved {
	name := ckpt.NewStringVariable("name", []int64{1}, [][]byte{[]byte("new")})
	return save(t, ckpt.New(ckpt.Objects{"a": scalar(10), "b": vector(4, 5, 6), "name": name, "json": ckpt.NewJSON(&map[string]int{"y": 2}),
		"node": branch("later", scalar(7))}))
}

// A restore that fails changes nothing: no value, no binding, no counter. The
// next good one works.
func TestRS22RS23AllOrNothing(t *testing.T) {
	for _, test := range []struct {
		name   string
		break_ func(t *testing.T, s saved) saved
		want   string
		class  error
		check  func(t *testing.T, err error)
	}{
		{"RS-22 shape", func(t *testing.T, s saved) saved {
			return s.with(t, map[string]*tensor.Tensor{"b" + value: floats(t, 1, 2)})
		}, "incompatible tensor with shape [2] for a variable with shape [3]", ckpt.ErrMismatch, func(t *testing.T, err error) {
			var m *ckpt.MismatchError
			if !errors.As(err, &m) || m.Key != "b"+value || m.Want != "float32 [3]" || m.Got != "float32 [2]" {
				t.Errorf("got %+v", m)
			}
		}},
		{"dtype", func(t *testing.T, s saved) saved {
			x, err := tensor.Of([]int64{3}, []int32{1, 2, 3})
			if err != nil {
				t.Fatal(err)
			}
			return s.with(t, map[string]*tensor.Tensor{"b" + value: x})
		}, "expected dtype float does not equal original dtype int32", ckpt.ErrMismatch, nil},
		{"missing key", func(t *testing.T, s saved) saved {
			return s.with(t, map[string]*tensor.Tensor{"b" + value: nil})
		}, "Key b" + value + " not found in checkpoint", ckpt.ErrMismatch, nil},
		{"text that does not parse", func(t *testing.T, s saved) saved {
			return s.with(t, map[string]*tensor.Tensor{"json/.ATTRIBUTES/py_state": text(t, []byte("{"))})
		}, "JSON", ckpt.ErrMismatch, nil},
		{"checksum", func(t *testing.T, s saved) saved {
			s.damage(t, "b"+value)
			return s
		}, "b" + value, ckpt.ErrCorrupt, func(t *testing.T, err error) {
			var c *ckpt.CorruptError
			if !errors.As(err, &c) || c.Key != "b"+value || c.File != dataOf("c-1") || c.Offset < 0 || c.Kind != ckpt.KindChecksum {
				t.Errorf("got %+v", c)
			}
		}},
		{"checksum of a string", func(t *testing.T, s saved) saved {
			s.damage(t, "name"+value)
			return s
		}, "name" + value, ckpt.ErrCorrupt, nil},
		{"graph", func(t *testing.T, s saved) saved {
			return s.withGraph(t, []byte{0xff, 0xff})
		}, objectgraph.Key, ckpt.ErrCorrupt, nil},
	} {
		for _, inPlace := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/inplace=%v", test.name, inPlace), func(t *testing.T) {
				s, p := test.break_(t, good(t)), newStanding()
				before := p.look(t)
				status, err := p.c.Restore(t.Context(), s.prefix, &ckpt.RestoreOptions{Bucket: s.bucket, InPlace: inPlace})
				if status != nil || !errors.Is(err, test.class) {
					t.Fatalf("got %v, %v, want %v", status, err, test.class)
				}
				wantError(t, "Restore", err, test.want)
				if test.check != nil {
					test.check(t, err)
				}
				if unusable := strings.Contains(err.Error(), "must not be used"); unusable != (inPlace && (strings.HasPrefix(test.name, "checksum") || strings.HasPrefix(test.name, "text"))) {
					t.Errorf("got %q", err)
				}
				if !inPlace {
					if diff := cmp.Diff(p.look(t), before); diff != "" {
						t.Errorf("-after +before:\n%s", diff)
					}
				}
				later := scalar(1)
				if err := p.node.Track("later", later); err != nil {
					t.Fatal(err)
				}
				wantValues(t, "later", later, 1) // nothing waits of the failed restore

				wantChecks(t, good(t).restore(t, p.c), "", "", "")
				wantValues(t, "a", p.a, 10)
				wantValues(t, "b", p.b, 4, 5, 6)
				wantValues(t, "later", later, 7)
				if got := string(p.name.Elements()[0]); got != "new" || p.json["y"] != 2 || p.c.SaveCounter() != 1 {
					t.Errorf("got name %q, json %v, counter %d", got, p.json, p.c.SaveCounter())
				}
			})
		}
	}
}

func floats(t *testing.T, v ...float32) *tensor.Tensor {
	t.Helper()
	x, err := tensor.Of([]int64{int64(len(v))}, v)
	if err != nil {
		t.Fatal(err)
	}
	return x
}

// Every misfit is named, not only the first.
func TestRS23AllMisfits(t *testing.T) {
	s := write(t, ckpt.New(ckpt.Objects{"a": scalar(1), "b": vector(1, 2), "c": vector(1)}))
	a, b := scalar(0), vector(0)
	_, err := ckpt.New(ckpt.Objects{"a": a, "b": b, "c": ckpt.NewScalar("c", int8(0))}).Read(t.Context(), s.prefix, &ckpt.RestoreOptions{Bucket: s.bucket})
	wantError(t, "Read", err, "b"+value)
	wantError(t, "Read", err, "c"+value)
	wantValues(t, "a", a, 0)
	wantValues(t, "b", b, 0)
}

func TestRS24SeveralTensors(t *testing.T) {
	s := write(t, ckpt.New(ckpt.Objects{"p": newPair(1, 2)}))
	one := newPair(0)
	wantChecks(t, s.read(t, ckpt.New(ckpt.Objects{"p": one})), "", "", "")
	wantValues(t, "v1", one.vars[0], 1)
	three := newPair(0, 0, 0)
	_, err := ckpt.New(ckpt.Objects{"p": three}).Read(t.Context(), s.prefix, &ckpt.RestoreOptions{Bucket: s.bucket})
	wantError(t, "three tensors", err, "p/.ATTRIBUTES/v3")
	if !errors.Is(err, ckpt.ErrMismatch) {
		t.Errorf("got %v, want ErrMismatch", err)
	}
	wantValues(t, "v1", three.vars[0], 0)
}

func TestRS25NoOpenFiles(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("counts the files in /proc")
	}
	dir := t.TempDir()
	prefix, err := ckpt.New(ckpt.Objects{"a": scalar(1), "b": scalar(2)}).Save(t.Context(), filepath.Join(dir, "c"), nil)
	if err != nil {
		t.Fatal(err)
	}
	c := ckpt.New(ckpt.Objects{"a": scalar(0)})
	if _, err := c.Restore(t.Context(), prefix, nil); err != nil {
		t.Fatal(err)
	}
	noOpenFiles(t, dir)
	b := scalar(0)
	if err := c.Track("b", b); err != nil {
		t.Fatal(err)
	}
	wantValues(t, "b", b, 2)
	noOpenFiles(t, dir)
	wrong := ckpt.New(ckpt.Objects{"a": vector(1, 2)})
	if _, err := wrong.Restore(t.Context(), prefix, nil); err == nil {
		t.Error("another shape: got no error")
	}
	noOpenFiles(t, dir)
}

func noOpenFiles(t *testing.T, dir string) {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip(err)
	}
	for _, fd := range list {
		if name, err := os.Readlink("/proc/self/fd/" + fd.Name()); err == nil && strings.HasPrefix(name, dir+"/") {
			t.Errorf("%s is open", name)
		}
	}
}

func TestRS31TwoCheckpointsOneObject(t *testing.T) {
	model := write(t, ckpt.New(ckpt.Objects{"model": branch("w", scalar(1))}))
	optimizer := write(t, ckpt.New(ckpt.Objects{"optimizer": branch("m", scalar(2))}))
	w, m := scalar(0), scalar(0)
	o := branch("m", m)
	wantChecks(t, model.read(t, ckpt.New(ckpt.Objects{"model": branch("w", w), "optimizer": o})), "(root).optimizer.m", "(root).optimizer.m", "")
	wantValues(t, "w", w, 1)
	wantValues(t, "m", m, 0)
	wantChecks(t, optimizer.read(t, ckpt.New(ckpt.Objects{"optimizer": o})), "", "", "")
	wantValues(t, "m", m, 2)
}

func TestRestoreCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	s, p := good(t), newStanding()
	before := p.look(t)
	if _, err := p.c.Restore(ctx, s.prefix, &ckpt.RestoreOptions{Bucket: s.bucket}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
	if diff := cmp.Diff(p.look(t), before); diff != "" {
		t.Errorf("-after +before:\n%s", diff)
	}
}

// AW-5: a save that fails leaves no file, and a name that was there stays.
func TestAW5FailedSave(t *testing.T) {
	for name, object := range map[string]ckpt.Trackable{
		"duplicate key":     &pair{names: []string{"x", "x"}, vars: []*ckpt.Variable[float32]{scalar(1), scalar(2)}},
		"no attribute name": &pair{names: []string{""}, vars: []*ckpt.Variable[float32]{scalar(1)}},
		"dotted name":       &pair{names: []string{"a.b"}, vars: []*ckpt.Variable[float32]{scalar(1)}},
		"child twice":       &lister{names: []string{"x", "x"}, children: []ckpt.Trackable{scalar(1), scalar(2)}},
		"open shape":        open{scalar(1)},
		"text fails":        ckpt.NewPythonState(func() ([]byte, error) { return nil, errors.New("no text") }, nil),
	} {
		t.Run(name, func(t *testing.T) {
			if o, ok := object.(open); ok {
				object = &o
			}
			dir := t.TempDir()
			c := ckpt.New(ckpt.Objects{"object": object, "v": scalar(1)})
			if _, err := c.Save(t.Context(), filepath.Join(dir, "c"), nil); err == nil {
				t.Error("got no error")
			}
			list, err := os.ReadDir(dir)
			if err != nil || len(list) > 0 {
				t.Errorf("got %v, %v, want no files", list, err)
			}
		})
	}
}

// open has a shape with an open dimension and a snapshot that does not tell.
type open struct{ *ckpt.Variable[float32] }

func (o *open) Values() []ckpt.Value { return []ckpt.Value{o} }
func (o *open) Spec() ckpt.Spec {
	return ckpt.Spec{Attribute: ckpt.VariableValue, DType: tensor.Float32, Shape: []int64{-1}}
}

// A variable with an open dimension takes any length, as tf.Variable with
// shape=[None].
func TestOpenDimension(t *testing.T) {
	s := write(t, ckpt.New(ckpt.Objects{"v": vector(1, 2)}))
	v := &growing{v: vector(1)}
	s.read(t, ckpt.New(ckpt.Objects{"v": v}))
	wantValues(t, "v", v.v, 1, 2)
	again := vector(0, 0)
	write(t, ckpt.New(ckpt.Objects{"v": v})).read(t, ckpt.New(ckpt.Objects{"v": again}))
	wantValues(t, "again", again, 1, 2)
}

type growing struct {
	ckpt.Node
	v *ckpt.Variable[float32]
}

func (g *growing) Values() []ckpt.Value { return []ckpt.Value{g} }
func (g *growing) Spec() ckpt.Spec {
	return ckpt.Spec{Attribute: ckpt.VariableValue, DType: tensor.Float32, Shape: []int64{-1}}
}

func (g *growing) Snapshot(ctx context.Context) (ckpt.Snapshot, error) {
	shot, err := g.v.Snapshot(ctx)
	return shapedShot{shot, g.v.Shape()}, err
}

func (g *growing) Stage(ctx context.Context, src ckpt.Source) (ckpt.Staged, error) {
	fresh := ckpt.NewVariable[float32]("", src.Shape(), nil)
	err := fresh.ReadInPlace(ctx, src)
	return committing(func() { g.v = fresh }), err
}

type shapedShot struct {
	ckpt.Snapshot
	shape tensor.Shape
}

func (s shapedShot) Shape() tensor.Shape { return s.shape }

func writeNew(t *testing.T, name string, b []byte) {
	t.Helper()
	if err := os.WriteFile(name, b, 0o666); err != nil {
		t.Fatal(err)
	}
}
