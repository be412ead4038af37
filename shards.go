package ckpt

import (
	"iter"

	"github.com/ckpt-go/ckpt/bundle"
	"github.com/ckpt-go/ckpt/tensor"
)

// graphSpec is what SaveOptions.Shard is told of the object graph.
var graphSpec = Spec{DType: tensor.String}

// divide says which data file each tensor of a cut goes to, nil if there is
// only one. It calls the program's function, so it belongs into the caller's
// goroutine.
func (k *cut) divide(o *SaveOptions) (*bundle.Plan, error) {
	registered := len(k.items) > 0 && k.items[0].saver != ""
	if o.MaxShardSize == 0 && o.Shard == nil && !registered {
		return nil, nil
	}
	policy := &bundle.ShardPolicy{MaxSize: o.MaxShardSize}
	if o.Shard != nil || registered {
		items := make(map[string]item, len(k.items)+1)
		for _, it := range k.items {
			items[it.key] = it
		}
		items[graphKey] = item{spec: graphSpec}
		policy.Group = func(key string) string {
			it := items[key]
			if it.saver != "" || o.Shard == nil {
				return "saver:" + it.saver
			}
			return "group:" + o.Shard(key, it.spec)
		}
	}
	return bundle.NewPlan(k.planned(o.MaxShardSize > 0), policy)
}

// planned yields what writeBundle writes, in that order. Strings are measured
// where sizes matter; the object graph counts as having none.
func (k *cut) planned(sizes bool) iter.Seq[bundle.Planned] {
	return func(yield func(bundle.Planned) bool) {
		for i, it := range k.items {
			p := bundle.Planned{Key: it.key, DType: it.spec.DType, Shape: it.spec.Shape}
			if it.spec.DType == tensor.String && sizes {
				p.Bytes, p.Longest = measure(k.shots[i].(StringSnapshot))
			}
			if !yield(p) {
				return
			}
		}
		yield(bundle.Planned{Key: graphKey, DType: tensor.String})
	}
}

// measure returns the bytes of all strings and those of the longest.
func measure(shot StringSnapshot) (sum, longest int64) {
	for s := range shot.Strings() {
		sum += int64(len(s))
		longest = max(longest, int64(len(s)))
	}
	return sum, longest
}
