package ckpt

import (
	"context"
	"fmt"
	"iter"
	"reflect"
	"sync"

	"github.com/ckpt-go/ckpt/internal/fault"
)

// Table is a hash table whose entries have an order, that of Insert:
// tf.lookup.experimental.MutableHashTable. Keys are strings or integers; values
// are numbers, bools, strings or arrays of them (a default value with a shape, in
// TensorFlow). It is stored as two tensors, the keys and the values. A restore
// replaces all entries and takes the order of the file, so that the same table is
// saved with the same bytes; TensorFlow writes its tables in an order of its own.
// A Table is not safe for concurrent use.
type Table[K comparable, V any] struct {
	mark
	keys   []K
	values []V
	index  map[K]int
}

// NewTable makes an empty table. It panics if its keys or values are of a type
// that no table has: a mistake in the program.
func NewTable[K comparable, V any]() *Table[K, V] {
	of := reflect.TypeFor[K]()
	if k := of.Kind(); k != reflect.String && (k < reflect.Int || k > reflect.Uint64) {
		panic(fmt.Sprintf("ckpt: the keys of a table are strings or integers, not %v", of))
	}
	if _, ok := tensorLayout(reflect.TypeFor[[]V]()); !ok {
		panic(fmt.Sprintf("ckpt: the values of a table are numbers, bools, strings or arrays of them, not %v", reflect.TypeFor[V]()))
	}
	return &Table[K, V]{index: make(map[K]int)}
}

// Len is the number of entries.
func (t *Table[K, V]) Len() int { return len(t.keys) }

// Lookup gives the value of a key.
func (t *Table[K, V]) Lookup(key K) (value V, ok bool) {
	i, ok := t.index[key]
	if ok {
		value = t.values[i]
	}
	return value, ok
}

// Insert sets the value of a key; a new key comes last.
func (t *Table[K, V]) Insert(key K, value V) {
	if i, ok := t.index[key]; ok {
		t.values[i] = value
		return
	}
	t.index[key] = len(t.keys)
	t.keys, t.values = append(t.keys, key), append(t.values, value)
}

// Remove takes a key out; the last entry takes its place in the order. A key that
// is not there changes nothing.
func (t *Table[K, V]) Remove(key K) {
	i, ok := t.index[key]
	if !ok {
		return
	}
	last := len(t.keys) - 1
	t.keys[i], t.values[i] = t.keys[last], t.values[last]
	t.index[t.keys[i]] = i
	delete(t.index, key)
	clear(t.keys[last:])
	clear(t.values[last:])
	t.keys, t.values = t.keys[:last], t.values[:last]
}

// All yields the entries in order.
func (t *Table[K, V]) All() iter.Seq2[K, V] {
	return func(yield func(K, V) bool) {
		for i, key := range t.keys {
			if !yield(key, t.values[i]) {
				return
			}
		}
	}
}

// Children is empty: a table is a leaf.
func (t *Table[K, V]) Children() iter.Seq2[string, Trackable] { return noChildren }

// tableAttribute is the one attribute of the two tensors.
const tableAttribute = "table"

// Values are the two tensors.
func (t *Table[K, V]) Values() []Value {
	round := &tableRound[K, V]{table: t}
	return []Value{
		newColumn(round, "-keys", &t.keys, &round.keys),
		newColumn(round, "-values", &t.values, &round.values),
	}
}

// tableRound is one save or restore: what is read of a table is set once both
// tensors are there.
type tableRound[K comparable, V any] struct {
	table    *Table[K, V]
	keys     []K
	values   []V
	index    map[K]int
	mu       sync.Mutex
	lengths  []int // of the tensors that were read
	accepted int   // tensors whose Commit was called
}

// read notes that one of the tensors was read; the second call checks both.
func (r *tableRound[K, V]) read(key string, n int) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.lengths = append(r.lengths, n); len(r.lengths) < 2 {
		return nil
	}
	if len(r.keys) != len(r.values) {
		return fault.Corrupt(fault.KindEntry, "a table of %d keys and %d values", len(r.keys), len(r.values))
	}
	r.index = make(map[K]int, len(r.keys))
	for i, k := range r.keys {
		if before, twice := r.index[k]; twice {
			return &MismatchError{Key: key, Want: "every key once", Got: fmt.Sprintf("%#v twice, in rows %d and %d", k, before, i)}
		}
		r.index[k] = i
	}
	return nil
}

func (r *tableRound[K, V]) commit() {
	if r.accepted++; r.accepted == 2 {
		r.table.keys, r.table.values, r.table.index = r.keys, r.values, r.index
	}
}

// column is one of the two tensors.
type column[K comparable, V any] struct {
	field  field
	round  *tableRound[K, V]
	suffix string
	fresh  reflect.Value // where a restore reads to
}

func newColumn[K comparable, V, T any](r *tableRound[K, V], suffix string, live, fresh *[]T) *column[K, V] {
	l, _ := tensorLayout(reflect.TypeFor[[]T]())
	place := reflect.ValueOf(live).Elem()
	return &column[K, V]{field{where: where{get: func() reflect.Value { return place }}, of: place.Type(), layout: l}, r, suffix, reflect.ValueOf(fresh).Elem()}
}

// Spec describes the tensor.
func (c *column[K, V]) Spec() Spec {
	return Spec{Attribute: tableAttribute, Suffix: c.suffix, DType: c.field.layout.dtype, Shape: c.field.layout.shape}
}

// Snapshot refers to the table's memory.
func (c *column[K, V]) Snapshot(ctx context.Context) (Snapshot, error) { return c.field.Snapshot(ctx) }

// Stage reads into new memory.
func (c *column[K, V]) Stage(ctx context.Context, src Source) (Staged, error) {
	place, err := readFresh(ctx, src, c.fresh.Type(), c.field.layout)
	if err != nil {
		return nil, err
	}
	c.fresh.Set(place)
	if err := c.round.read(src.Key(), place.Len()); err != nil {
		return nil, err
	}
	return staged{commit: c.round.commit}, nil
}
