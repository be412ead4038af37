package edit

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"math"
	"syscall"

	"github.com/ckpt-go/ckpt"
	"github.com/ckpt-go/ckpt/bundle"
	"github.com/ckpt-go/ckpt/internal/fault"
)

// piece is the bytes of one entry: a tensor, or a slice of one.
type piece struct {
	item   *bundle.Item
	tensor string
	err    error // the damage, nil if it is intact
	fate   TensorRepair
	ways   []change // that make it fit its entry
	fault  bool     // of the entry, which no bytes can fit
	// disputed says that donors have different bytes, which all fit.
	disputed bool
}

// tensorOf is the name of the tensor that an entry belongs to.
func tensorOf(it *bundle.Item) string {
	if name, _, ok := bundle.DecodeSliceKey(it.Key); it.IsSlice && ok {
		return name
	}
	return it.Key
}

// label is the name of an entry as results have it.
func label(it *bundle.Item) string {
	if name, s, ok := bundle.DecodeSliceKey(it.Key); it.IsSlice && ok {
		return name + " slice " + s.String()
	}
	return it.Key
}

// reader opens the checkpoint as it is now repaired.
func (j *job) reader(ctx context.Context) (*bundle.Reader, error) {
	return bundle.Open(ctx, j.over, j.from.name, nil)
}

// scan compares all tensors with their checksums.
func (j *job) scan(ctx context.Context) error {
	rd, err := j.reader(ctx)
	if err != nil {
		return err
	}
	defer rd.Close()
	for i := range j.index.items {
		it := &j.index.items[i]
		if len(it.Entry.Slices) > 0 {
			j.sliced = append(j.sliced, it) // looked at when its pieces are
			continue
		}
		p := &piece{item: it, tensor: tensorOf(it)}
		if it.Entry.Shard >= 0 && it.Entry.Shard < rd.Header().NumShards {
			j.over.add(ctx, dataName(j.from, rd, it.Entry.Shard))
		}
		p.err = rd.Check(ctx, it.Key)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if unreadable(p.err) != nil {
			if err := j.again(ctx, p, rd); err != nil {
				return err
			}
		}
		if p.err != nil {
			p.damaged(p.err, rd)
		}
		j.pieces = append(j.pieces, p)
	}
	return nil
}

// unreadable is what the system says of bytes that it does not give, nil of others.
func unreadable(err error) error {
	if err != nil {
		if p := ckpt.ProblemOf(err); p.Kind == fault.KindUnreadable {
			return p
		}
	}
	return nil
}

// again reads a second time what the system refused. Only what a disk cannot read is
// damage; that we must not, or have too many files open, is not.
func (j *job) again(ctx context.Context, p *piece, rd *bundle.Reader) error {
	if name := dataName(j.from, rd, p.item.Entry.Shard); j.over.files[name] != nil && j.over.files[name].base == nil {
		delete(j.over.files, name)
		j.over.add(ctx, name)
	}
	fresh, err := j.reader(ctx)
	if err != nil {
		return err
	}
	defer fresh.Close()
	p.err = fresh.Check(ctx, p.item.Key)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err := unreadable(p.err); err != nil && !errors.Is(err, syscall.EIO) {
		return err
	}
	return nil
}

// damaged notes what is wrong.
func (p *piece) damaged(err error, rd *bundle.Reader) {
	problem := *ckpt.ProblemOf(err)
	inIndex := problem.Kind == fault.KindEntry && problem.File == baseName(bundle.IndexName(rd.Prefix()))
	e := &p.item.Entry
	p.fault = p.fault || problem.Kind == fault.KindUnsupported || inIndex || e.Size > 0 && e.Offset > math.MaxInt64-e.Size
	if problem.File == "" {
		problem.File = rd.DataFile(p.item.Entry.Shard)
	}
	p.err = err
	p.fate = TensorRepair{Name: label(p.item), How: LeftOut, Problem: &problem}
}

// digest compares the tensors that have a recorded SHA-256 and are intact by their
// checksums.
func (j *job) digest(ctx context.Context) error {
	m := j.meta
	belongs := m != nil
	if !belongs && len(j.out.Index.Lost) > 0 && len(j.recorded) > 0 {
		m = j.recorded[0] // if what is left fits it
	}
	if m == nil || m.Digests == nil {
		return nil
	}
	j.sums = make(map[string][sha256.Size]byte)
	for _, d := range m.Digests.Tensors {
		if _, twice := j.sums[d.Name]; !twice {
			j.sums[d.Name] = d.SHA256
		}
	}
	equal, other, err := j.compare(ctx, m, belongs)
	if err != nil || belongs {
		return err
	}
	if equal == 0 || other > 0 {
		j.sums = nil
		return nil
	}
	j.meta = m
	return nil
}

// compare counts the intact tensors that have the SHA-256 recorded, and those that
// have another, which are damaged if the record belongs to the index.
func (j *job) compare(ctx context.Context, m *ckpt.Metadata, belongs bool) (equal, other int, err error) {
	rd, err := j.reader(ctx)
	if err != nil {
		return 0, 0, err
	}
	defer rd.Close()
	whole := j.wholeFiles(ctx, rd, m)
	for name, pieces := range j.byTensor() {
		want, ok := j.sums[name]
		sound, known := ok, true
		for _, p := range pieces {
			sound = sound && p.err == nil
			known = known && whole[rd.DataFile(p.item.Entry.Shard)]
		}
		if !sound || known && belongs {
			continue
		}
		got, err := j.hash(ctx, name)
		switch {
		case ctx.Err() != nil:
			return equal, other, ctx.Err()
		case err == nil && got == want:
			equal++
			continue
		case unreadable(err) != nil:
			return equal, other, err
		}
		if other++; !belongs {
			continue
		}
		for _, p := range pieces {
			p.damaged(errors.Join(err, fault.Corrupt(fault.KindChecksum, "the CRC-32C is right, but the SHA-256 of the value is %x, recorded was %x", got, want)), rd)
		}
	}
	return equal, other, nil
}

// wholeFiles are the data files that have their recorded SHA-256.
func (j *job) wholeFiles(ctx context.Context, rd *bundle.Reader, m *ckpt.Metadata) map[string]bool {
	whole := make(map[string]bool)
	for _, f := range m.Digests.Files {
		name := j.from.name + "." + f.Name
		if _, _, _, ok := bundle.ParseDataName(name); !ok {
			continue
		}
		got, err := bundle.DigestFile(ctx, j.from.bucket, name)
		whole[baseName(name)] = err == nil && got.SHA256 == f.SHA256 && got.Size == f.Size
	}
	return whole
}

// byTensor are the pieces of each tensor.
func (j *job) byTensor() map[string][]*piece {
	all := make(map[string][]*piece)
	for _, p := range j.pieces {
		all[p.tensor] = append(all[p.tensor], p)
	}
	return all
}

// hash is the SHA-256 of a tensor as it is now repaired.
func (j *job) hash(ctx context.Context, name string) ([sha256.Size]byte, error) {
	r, err := ckpt.Open(ctx, j.from.name, &ckpt.OpenOptions{Bucket: j.over})
	if err != nil {
		return [sha256.Size]byte{}, err
	}
	defer r.Close()
	return r.Hash(ctx, name)
}

// check tells whether an entry fits its bytes as they are now.
func (j *job) check(ctx context.Context, key string) bool {
	rd, err := j.reader(ctx)
	if err != nil {
		return false
	}
	defer rd.Close()
	return rd.Check(ctx, key) == nil
}

// help says what could repair a piece that is left out.
func (j *job) help(p *piece) string {
	e := &p.item.Entry
	if p.fault {
		return "the index describes it wrongly: " + p.err.Error()
	}
	text := fmt.Sprintf("another checkpoint may have it, with the CRC-32C %08x", e.CRC)
	bits := 0
	for i := range p.ways {
		if p.ways[i].other.from == nil {
			bits++
		}
	}
	_, recorded := j.sums[p.tensor]
	switch {
	case len(p.ways) == 0:
	case p.disputed:
		text = fmt.Sprintf("other checkpoints have different bytes with the CRC-32C %08x", e.CRC)
	case recorded:
		text += "; what its CRC-32C suggests does not have the recorded SHA-256"
	case bits > 1:
		text += fmt.Sprintf("; %d different flipped bits explain the damage", bits)
	case bits == 1 && e.Size > riskLimit:
		text += "; one flipped bit explains the damage, but of so many bytes that proves little"
	case bits == 1:
		text += "; one flipped bit explains the damage, which AcceptRisk takes for proof"
	}
	return text
}
