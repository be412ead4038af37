package ckpt

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/ckpt-go/ckpt/bundle"
	"github.com/ckpt-go/ckpt/internal/fault"
	"github.com/ckpt-go/ckpt/objectgraph"
)

// RestoreNodes loads stored objects, chosen by their node in the checkpoint's
// object graph, into the objects they are given (TensorFlow's restore_nodes): the
// values of these themselves, not of what hangs below. View.Match and View.Path
// tell the nodes. Every object must hold as many tensors as its node, with the
// same names, dtypes and shapes; else, and if a node does not exist or an object
// is nil, the error is ErrMismatch. All values are set or none, and an empty
// selection does nothing.
//
// Of the options Bucket, InPlace and Cast count; Rename and Only, which are about
// names, are errors.
func RestoreNodes(ctx context.Context, path string, nodes map[int]Trackable, o *RestoreOptions) error {
	if o == nil {
		o = new(RestoreOptions)
	}
	if path == "" {
		return fmt.Errorf("ckpt: the path of the checkpoint to restore nodes of is empty: %w", ErrNoCheckpoint)
	}
	if len(o.Rename)+len(o.Only) > 0 {
		return errors.New("ckpt: RestoreNodes takes nodes, not names: leave RestoreOptions.Rename and Only empty")
	}
	prefix, err := restorePath(ctx, path, o, false)
	if err != nil {
		return err
	}
	at := locate(prefix, o.Bucket)
	unpin, err := pin(ctx, at)
	if err != nil {
		return err
	}
	f := &files{bucket: at.bucket, name: at.name, prefix: prefix, keep: true, unpin: unpin}
	defer f.release()
	rd, err := f.open(ctx)
	if err != nil {
		return recognise(ctx, at, err)
	}
	graph, err := readGraph(ctx, rd, at)
	if err != nil {
		return recognise(ctx, at, err)
	}
	r := newRestoration(root{}, f, graph, true)
	r.cast = o.Cast
	m := r.newMatching()
	if err := m.selected(ctx, rd, nodes, o.InPlace); err != nil {
		m.rollback()
		return err
	}
	return nil
}

// selected brings the values of some nodes to the objects given.
func (m *matching) selected(ctx context.Context, rd *bundle.Reader, nodes map[int]Trackable, inPlace bool) error {
	if err := m.checkSelection(nodes); err != nil {
		return err
	}
	for _, node := range slices.Sorted(maps.Keys(nodes)) {
		m.bind(node, nodes[node])
		m.gather(node, nodes[node])
	}
	if _, err := m.prepare(ctx); err != nil {
		return err
	}
	if inPlace {
		touched, err := m.inPlace(ctx, rd)
		return unusableInPlace(err, touched)
	}
	commit, _, err := m.stage(ctx, rd)
	if err != nil {
		return err
	}
	commit()
	return nil
}

// unusableInPlace says in an error that objects hold a mixture, if they do.
func unusableInPlace(err error, touched []read) error {
	if err == nil || len(touched) == 0 {
		return err
	}
	return fmt.Errorf("%w (the objects were being overwritten in place and must not be used until another restore succeeds)", err)
}

// checkSelection tells whether the nodes exist and hold what the objects want.
func (m *matching) checkSelection(nodes map[int]Trackable) error {
	prefix, graph := m.r.files.prefix, m.r.graph
	reached := make(map[int]bool)
	for _, node := range graph.Descendants() {
		reached[node] = true
	}
	chosen := make(map[Trackable]int, len(nodes))
	for _, node := range slices.Sorted(maps.Keys(nodes)) {
		object := nodes[node]
		if !reached[node] {
			return &UnmatchedError{
				Reason: fmt.Sprintf("ckpt: node %d to restore does not exist in the checkpoint %s, nothing was restored", node, prefix),
				Hint:   fmt.Sprintf("its nodes are 0 to %d: View.Match tells those of a program's objects", len(graph.Nodes)-1),
			}
		}
		if err := identity(object); err != nil {
			return &UnmatchedError{Reason: fmt.Sprintf("ckpt: the object for node %d, %s of %s: %v; nothing was restored", node, fault.Printable(m.r.name(node)), prefix, err)}
		}
		if other, twice := chosen[object]; twice {
			return fmt.Errorf("ckpt: one object is to take the values of both node %d and node %d of %s; nothing was restored", other, node, prefix)
		}
		chosen[object] = node
		if err := m.checkTensors(node, object); err != nil {
			return &UnmatchedError{
				Reason: fmt.Sprintf("ckpt: %s: %v, nothing was restored", prefix, err), Names: []string{m.r.name(node)},
				Hint: "each object must hold what its node holds",
			}
		}
	}
	return nil
}

// checkTensors compares the number and the names of a node's and an object's
// tensors.
func (m *matching) checkTensors(node int, object Trackable) error {
	if own, ok := object.(Registered); ok && m.r.graph.Nodes[node].RegisteredSaver != nil && len(own.Values()) > 0 {
		return nil // gather compares the savers
	}
	stored := m.r.graph.Nodes[node].Attributes
	var values []Value
	if saveable, ok := object.(Saveable); ok {
		values = slices.CompactFunc(slices.Clone(saveable.Values()), func(a, b Value) bool {
			return a.Spec().Suffix != "" && a.Spec().Attribute == b.Spec().Attribute // one attribute of several tensors
		})
	}
	switch {
	case len(values) > 0 && len(stored) == 0:
		return fmt.Errorf("the %T expects values, but the checkpoint does not contain serialized tensors for node_id: %d", object, node)
	case len(values) == 0 && len(stored) > 0:
		return fmt.Errorf("the %T holds no values, but the checkpoint has %s for node_id: %d", object, count(len(stored), "tensor"), node)
	case len(values) != len(stored):
		return fmt.Errorf("the %T holds %s, but the checkpoint has %d for node_id: %d", object, count(len(values), "tensor"), len(stored), node)
	}
	for _, value := range values {
		name := objectgraph.Escape(value.Spec().Attribute)
		if !slices.ContainsFunc(stored, func(a objectgraph.Attribute) bool { return a.Name == name }) {
			return fmt.Errorf("the %T holds a tensor %q, which the checkpoint does not have for node_id: %d", object, name, node)
		}
	}
	return nil
}
