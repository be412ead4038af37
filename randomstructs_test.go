package ckpt_test

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ckpt-go/ckpt"
)

// thing is a struct that can hold every kind of field, and itself.
type thing struct {
	N     int32
	F     []float32
	Text  string
	Pair  [2]part3
	Parts []part3
	Ptr   *thing
	Other *thing
	List  []*thing
	Map   map[string]*thing
	Deep  map[string]map[string][]*thing
	Vals  map[string]part3
	Rows  [][]*part3
}

type part3 struct {
	V []int64
	P *thing
	M map[string][]float32
}

// builder makes random things, of which some lead to those made before.
type builder struct {
	r     *rand.Rand
	all   []*thing
	parts []*part3
	left  int
}

func (b *builder) thing() *thing {
	if len(b.all) > 0 && b.r.IntN(3) == 0 {
		return b.all[b.r.IntN(len(b.all))]
	}
	if b.left--; b.left < 0 {
		return nil
	}
	t := &thing{N: b.r.Int32N(1000) + 1, F: b.floats(), Text: fmt.Sprint(b.r.IntN(100))}
	b.all = append(b.all, t)
	for i := range t.Pair {
		t.Pair[i] = b.part()
	}
	for range b.r.IntN(3) {
		t.Parts = append(t.Parts, b.part())
	}
	if b.r.IntN(2) == 0 {
		t.Ptr = b.thing()
	}
	if b.r.IntN(2) == 0 {
		t.Other = b.thing()
	}
	for range b.r.IntN(4) {
		if e := b.thing(); e != nil {
			t.List = append(t.List, e)
		}
	}
	for _, key := range []string{"a", "b", "c"} {
		if e := b.thing(); e != nil && b.r.IntN(2) == 0 {
			set(&t.Map, key, e)
		}
		if b.r.IntN(3) == 0 {
			set(&t.Vals, key, b.part())
		}
		if e := b.thing(); e != nil && b.r.IntN(3) == 0 {
			inner := map[string][]*thing{}
			inner["x"+key] = []*thing{e, b.all[b.r.IntN(len(b.all))]}
			set(&t.Deep, key, inner)
		}
	}
	for range b.r.IntN(3) {
		p := b.part()
		b.parts = append(b.parts, &p)
		t.Rows = append(t.Rows, []*part3{&p, b.parts[b.r.IntN(len(b.parts))]})
	}
	return t
}

func set[V any](m *map[string]V, key string, v V) {
	if *m == nil {
		*m = make(map[string]V)
	}
	(*m)[key] = v
}

func (b *builder) floats() []float32 {
	f := make([]float32, 1+b.r.IntN(3))
	for i := range f {
		f[i] = float32(b.r.IntN(100)) + 1
	}
	return f
}

func (b *builder) part() part3 {
	p := part3{V: []int64{b.r.Int64N(100) + 1}}
	if b.r.IntN(4) == 0 {
		p.P = b.thing()
	}
	for _, key := range []string{"k", "l"} {
		if b.r.IntN(3) == 0 {
			set(&p.M, key, b.floats())
		}
	}
	return p
}

// shape prints a thing, with numbers for pointers, so that sharing shows.
type shape struct {
	b    strings.Builder
	seen map[any]int
	vals bool
}

func shapeOf(t *thing) string {
	s := &shape{seen: map[any]int{}, vals: true}
	s.thing("", t)
	return s.b.String()
}

func (s *shape) thing(at string, t *thing) {
	if t == nil {
		fmt.Fprintf(&s.b, "%s nil\n", at)
		return
	}
	if n, ok := s.seen[t]; ok {
		fmt.Fprintf(&s.b, "%s = #%d\n", at, n)
		return
	}
	s.seen[t] = len(s.seen)
	fmt.Fprintf(&s.b, "%s #%d %d %v %q\n", at, s.seen[t], t.N, t.F, t.Text)
	for i := range t.Pair {
		s.part(fmt.Sprintf("%s.Pair%d", at, i), &t.Pair[i])
	}
	for i := range t.Parts {
		s.part(fmt.Sprintf("%s.Parts%d", at, i), &t.Parts[i])
	}
	s.thing(at+".Ptr", t.Ptr)
	s.thing(at+".Other", t.Other)
	for i, e := range t.List {
		s.thing(fmt.Sprintf("%s.List%d", at, i), e)
	}
	for _, key := range []string{"a", "b", "c"} {
		if e, ok := t.Map[key]; ok {
			s.thing(at+".Map"+key, e)
		}
		if p, ok := t.Vals[key]; ok {
			s.part(at+".Vals"+key, &p)
		}
		for i, e := range t.Deep[key]["x"+key] {
			s.thing(fmt.Sprintf("%s.Deep%s%d", at, key, i), e)
		}
	}
	for i, row := range t.Rows {
		for k, p := range row {
			name := fmt.Sprintf("%s.Rows%d,%d", at, i, k)
			if p == nil {
				fmt.Fprintf(&s.b, "%s nil\n", name)
				continue
			}
			if n, ok := s.seen[p]; ok {
				fmt.Fprintf(&s.b, "%s = #%d\n", name, n)
				continue
			}
			s.seen[p] = len(s.seen)
			s.part(name, p)
		}
	}
}

func (s *shape) part(at string, p *part3) {
	fmt.Fprintf(&s.b, "%s %v %v\n", at, p.V, p.M)
	if p.P != nil {
		s.thing(at+".P", p.P)
	}
}

// pruned copies a thing, with what is shared, and leaves lists, maps and values out
// at random: what a restore makes again.
type pruner struct {
	r      *rand.Rand
	copies map[*thing]*thing
	parts  map[*part3]*part3
}

func (p *pruner) thing(t *thing) *thing {
	if t == nil {
		return nil
	}
	if c := p.copies[t]; c != nil {
		return c
	}
	c := new(thing)
	p.copies[t] = c
	if p.r.IntN(2) == 0 {
		c.F = make([]float32, len(t.F))
	}
	for i := range t.Pair {
		c.Pair[i] = p.part(t.Pair[i])
	}
	for i := range p.upTo(len(t.Parts)) {
		c.Parts = append(c.Parts, p.part(t.Parts[i]))
	}
	c.Ptr, c.Other = p.thing(t.Ptr), p.thing(t.Other) // a nil one is not made
	for i := range p.upTo(len(t.List)) {
		c.List = append(c.List, p.thing(t.List[i]))
	}
	for _, key := range []string{"a", "b", "c"} {
		if e, ok := t.Map[key]; ok && p.r.IntN(2) == 0 {
			set(&c.Map, key, p.thing(e))
		}
		if e, ok := t.Vals[key]; ok && p.r.IntN(2) == 0 {
			set(&c.Vals, key, p.part(e))
		}
		if e, ok := t.Deep[key]; ok && p.r.IntN(2) == 0 {
			inner := map[string][]*thing{}
			for k, list := range e {
				if p.r.IntN(2) == 0 {
					inner[k] = []*thing{p.thing(list[0])}
				}
			}
			set(&c.Deep, key, inner)
		}
	}
	for i := range p.upTo(len(t.Rows)) {
		var row []*part3
		for k := range p.upTo(len(t.Rows[i])) {
			e := t.Rows[i][k]
			if p.parts[e] == nil {
				p.parts[e] = new(part3)
				*p.parts[e] = p.part(*e)
			}
			row = append(row, p.parts[e])
		}
		c.Rows = append(c.Rows, row)
	}
	return c
}

func (p *pruner) upTo(n int) int {
	return p.r.IntN(n + 1)
}

func (p *pruner) part(t part3) part3 {
	c := part3{P: p.thing(t.P)}
	for k := range t.M {
		if p.r.IntN(2) == 0 {
			set(&c.M, k, make([]float32, p.r.IntN(3)))
		}
	}
	return c
}

// TestTrackRandom saves random structs, with cycles and what is shared, and restores
// them into what is left of them. Pointers that a restore does not make are made as
// they are waited for.
func TestTrackRandom(t *testing.T) {
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 7))
		b := &builder{r: r, left: 1 + r.IntN(8)}
		want := b.thing()
		s := save(t, ckpt.New(ckpt.Objects{"t": ckpt.Track(want)}))
		p := &pruner{r: r, copies: map[*thing]*thing{}, parts: map[*part3]*part3{}}
		got := p.thing(want)
		c := ckpt.New(ckpt.Objects{"t": ckpt.Track(got)})
		d, err := s.view(t).Diff(t.Context(), c)
		if err != nil {
			t.Fatal(err)
		}
		status, err := s.options(t, c, ckpt.RestoreOptions{InPlace: seed%2 == 1})
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		made := 0
		for len(status.Waiting()) > 0 && made < 100 {
			made++
			path := status.Waiting()[0] // what leads to it is there: objects are numbered breadth first
			if !makeAt(reflect.ValueOf(got).Elem(), strings.Split(path, ".")[2:]) {
				t.Fatalf("seed %d: %s waits, which is no nil pointer", seed, path)
			}
			if err := status.Fill(t.Context()); err != nil {
				t.Fatalf("seed %d: Fill: %v", seed, err)
			}
		}
		if d.Fits() != (made == 0) {
			t.Errorf("seed %d: Diff says %v, and %d rounds of Fill were needed: %v", seed, d.Fits(), made, d)
		}
		if err := status.CheckConsumed(); err != nil {
			t.Errorf("seed %d: %v", seed, err)
		}
		if diff := cmp.Diff(shapeOf(want), shapeOf(got)); diff != "" {
			t.Fatalf("seed %d (made %d):\n%s\nwant\n%s", seed, made, diff, shapeOf(want))
		}
	}
}

// makeAt sets the first nil pointer on the way along names.
func makeAt(v reflect.Value, names []string) bool {
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			v.Set(reflect.New(v.Type().Elem()))
			return true
		}
		return makeAt(v.Elem(), names)
	case reflect.Struct:
		return len(names) > 0 && makeAt(v.FieldByName(names[0]), names[1:])
	case reflect.Slice, reflect.Array:
		if len(names) == 0 {
			return false
		}
		i, err := strconv.Atoi(names[0])
		return err == nil && i < v.Len() && makeAt(v.Index(i), names[1:])
	case reflect.Map:
		if len(names) == 0 {
			return false
		}
		key := reflect.ValueOf(names[0])
		value := v.MapIndex(key)
		if !value.IsValid() {
			return false
		}
		copied := reflect.New(value.Type()).Elem()
		copied.Set(value)
		made := makeAt(copied, names[1:])
		v.SetMapIndex(key, copied)
		return made
	}
	return false
}
