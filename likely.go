package ckpt

import (
	"cmp"
	"slices"
	"strings"

	"github.com/ckpt-go/ckpt/bundle"
	"github.com/ckpt-go/ckpt/internal/fault"
	"github.com/ckpt-go/ckpt/objectgraph"
	"github.com/ckpt-go/ckpt/tensor"
)

// What a program calls differently now often has kept its shape: an object
// without a stored one and a stored one without an object, below which the same
// names lead to tensors of the same shapes, are likely one that was renamed.

// likely is a guess: the stored path and the live one, as
// RestoreOptions.Rename takes them.
type likely struct{ from, to string }

// subtree is what hangs below one object that has no counterpart.
type subtree struct {
	names   []string // the way to it
	tensors []tensorAt
}

// tensorAt is a tensor below an object.
type tensorAt struct {
	path  string // from the object, with the attribute
	dtype tensor.DType
	shape tensor.Shape
}

// What is looked at for guesses: so many pairs of objects, and bytes of names on
// either side.
const (
	mostGuessed    = 20_000
	mostGuessBytes = 4 << 20
	guessStep      = 16 // what an edge costs besides its name
)

// likelyRenamed guesses what was renamed. rd tells the stored shapes.
func (r *restoration) likelyRenamed(w *walker, rd *bundle.Reader) []likely {
	if rd == nil {
		return nil
	}
	live, stored := r.liveGaps(w), r.storedGaps(rd)
	type candidate struct{ live, stored, score int }
	var candidates []candidate
	if len(live)*len(stored) > mostGuessed {
		return nil
	}
	for i := range live {
		for k := range stored {
			if live[i].fits(&stored[k]) {
				candidates = append(candidates, candidate{i, k, live[i].unlike(&stored[k])})
			}
		}
	}
	slices.SortStableFunc(candidates, func(a, b candidate) int { return cmp.Compare(a.score, b.score) })
	liveTaken, storedTaken := make([]bool, len(live)), make([]bool, len(stored))
	var found []likely
	for len(candidates) > 0 {
		n := 1
		for n < len(candidates) && candidates[n].score == candidates[0].score {
			n++
		}
		same := slices.DeleteFunc(candidates[:n:n], func(c candidate) bool { return liveTaken[c.live] || storedTaken[c.stored] })
		candidates = candidates[n:]
		liveTimes, storedTimes := make(map[int]int), make(map[int]int)
		for _, c := range same {
			liveTimes[c.live]++
			storedTimes[c.stored]++
		}
		for _, c := range same {
			liveTaken[c.live], storedTaken[c.stored] = true, true
			from, to := stored[c.stored].names, live[c.live].names
			// If several are as likely none is named, and one of the same name only appeared since.
			if liveTimes[c.live] == 1 && storedTimes[c.stored] == 1 && !slices.Equal(from, to) {
				found = append(found, likely{printPath(from), printPath(to)})
			}
		}
	}
	return found
}

// renameHint guesses for a status, whose files may be closed or gone by now.
func (r *restoration) renameHint(w *walker) string {
	rd := r.files.held
	if rd == nil {
		var err error
		if rd, err = bundle.Open(background, r.files.bucket, r.files.name, nil); err != nil {
			return ""
		}
		defer rd.Close()
	}
	if text := likelyText(r.likelyRenamed(w, rd)); text != "" {
		return "; " + text + " (RestoreOptions.Rename takes them)"
	}
	return ""
}

// fits tells whether the same names lead to the same shapes.
func (s *subtree) fits(stored *subtree) bool {
	if len(s.tensors) != len(stored.tensors) {
		return false
	}
	for i, a := range s.tensors {
		b := stored.tensors[i]
		if a.path != b.path || !a.shape.Accepts(b.shape) || a.dtype != b.dtype && !castable(b.dtype, a.dtype) {
			return false
		}
	}
	return true
}

// unlike is how much the ways to two objects differ.
func (s *subtree) unlike(stored *subtree) int {
	a, b := s.names, stored.names
	const elsewhere = 1 << 20
	score := 0
	if !slices.Equal(a[:len(a)-1], b[:len(b)-1]) {
		score = elsewhere + distance(clip(printPath(a[:len(a)-1])), clip(printPath(b[:len(b)-1])))
	}
	return 16*score + distance(clip(a[len(a)-1]), clip(b[len(b)-1]))
}

func clip(name string) string { return name[:min(len(name), 256)] }

// sort brings the tensors in an order that does not depend on that of children.
func (s *subtree) sort() {
	slices.SortFunc(s.tensors, func(a, b tensorAt) int { return cmp.Compare(a.path, b.path) })
}

// liveGaps are the topmost objects of the program with values, in themselves or
// below, that no node is bound to.
func (r *restoration) liveGaps(w *walker) []subtree {
	bound := make(map[Trackable]bool, len(r.bound))
	for _, object := range r.bound {
		bound[object] = object != nil
	}
	reachable := len(w.objects) - len(w.slots)
	budget := mostGuessBytes
	var list []subtree
	for id := 1; id < reachable; id++ {
		if bound[w.objects[id]] || !bound[w.objects[w.origins[id].parent]] && w.origins[id].parent != 0 {
			continue
		}
		s := subtree{names: w.names(id)}
		s.live(w, id, bound, &budget)
		if s.sort(); len(s.tensors) > 0 && budget > 0 {
			list = append(list, s)
		}
	}
	return list
}

// live takes up the tensors of an object of the program and of those below it
// that are not bound either.
func (s *subtree) live(w *walker, id int, bound map[Trackable]bool, budget *int) {
	s.visit(id, budget, func(id int, path string) []objectgraph.Edge {
		if saveable, ok := w.objects[id].(Saveable); ok {
			for _, value := range saveable.Values() {
				spec := value.Spec()
				s.tensors = append(s.tensors, tensorAt{path + "/." + spec.Attribute, spec.DType, spec.Shape})
			}
		}
		return w.edges[id]
	}, func(id int) bool { return !bound[w.objects[id]] })
}

// visit goes over an object and those below it, as far as the budget lets it.
func (s *subtree) visit(top int, budget *int, take func(node int, path string) []objectgraph.Edge, free func(node int) bool) {
	type visit struct {
		node int
		path string
	}
	seen := map[int]bool{top: true}
	queue := []visit{{top, ""}}
	for ; len(queue) > 0; queue = queue[1:] {
		v := queue[0]
		for _, e := range take(v.node, v.path) {
			if *budget -= guessStep; !seen[e.Node] && free(e.Node) {
				*budget -= len(v.path) + len(e.Name)
				if *budget <= 0 {
					return
				}
				seen[e.Node] = true
				queue = append(queue, visit{e.Node, v.path + "/" + objectgraph.Escape(e.Name)})
			}
		}
	}
}

// storedGaps are the topmost stored objects with values, in themselves or below,
// that no live object is bound to.
func (r *restoration) storedGaps(rd *bundle.Reader) []subtree {
	budget := mostGuessBytes
	var list []subtree
	for way := range ways(r.graph) {
		if budget -= guessStep; budget <= 0 {
			return nil
		}
		if r.bound[way.node] != nil || r.bound[way.parent] == nil {
			continue
		}
		s := subtree{names: way.names()}
		s.stored(r, rd, way.node, &budget)
		if s.sort(); len(s.tensors) > 0 && budget > 0 {
			list = append(list, s)
		}
	}
	return list
}

// stored takes up the tensors of a stored object and of those below it that are
// not bound either.
func (s *subtree) stored(r *restoration, rd *bundle.Reader, node int, budget *int) {
	s.visit(node, budget, func(node int, path string) []objectgraph.Edge {
		n := &r.graph.Nodes[node]
		for _, a := range n.Attributes {
			if *budget -= guessStep + len(a.Key); *budget <= 0 {
				return nil
			}
			if entry, err := rd.Entry(a.Key); err == nil {
				*budget -= len(entry.Unknown) + 16*len(entry.Slices)
				s.tensors = append(s.tensors, tensorAt{path + "/." + a.Name, entry.DType, entry.Shape})
			}
		}
		return n.Children
	}, func(node int) bool { return r.bound[node] == nil })
}

// likelyText tells guesses in an error; "" if there are none.
func likelyText(guesses []likely) string {
	if len(guesses) == 0 {
		return ""
	}
	const shown = 5
	var names []string
	for i, g := range guesses {
		if i == shown {
			names = append(names, "…")
			break
		}
		names = append(names, fault.Printable(g.from)+" is "+fault.Printable(g.to)+" now")
	}
	return "likely renamed: " + strings.Join(names, ", ")
}
