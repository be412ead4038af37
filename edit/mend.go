package edit

import (
	"context"
	"errors"
	"fmt"

	"github.com/ckpt-go/ckpt"
	"github.com/ckpt-go/ckpt/bundle"
	"github.com/ckpt-go/ckpt/internal/crc32c"
	"github.com/ckpt-go/ckpt/internal/fault"
	"github.com/ckpt-go/ckpt/storage"
	"github.com/ckpt-go/ckpt/tensor"
)

// change is one way to repair a piece.
type change struct {
	fate  TensorRepair // what it is then
	file  *patched
	other replacement // from a donor
	bit   int64       // of the file, if there is no donor
}

// apply makes the change and returns what takes it back; ok is false if it cannot
// be made.
func (c *change) apply() (undo func(), ok bool) {
	if c.other.from != nil {
		return c.file.replace(c.other)
	}
	c.file.flip(c.bit)
	return func() { c.file.flip(c.bit) }, true
}

// Limits on what is tried for one tensor.
const (
	maxDonors = 4
	maxWays   = 8
	maxTries  = 256
)

// mend repairs what can be repaired.
func (j *job) mend(ctx context.Context) error {
	var broken []*piece
	for _, p := range j.pieces {
		if p.err != nil && !p.fault {
			broken = append(broken, p)
		}
	}
	if err := j.askDonors(ctx, broken); err != nil {
		return err
	}
	for _, p := range broken {
		if err := j.findBits(ctx, p); err != nil {
			return err
		}
	}
	tensors := j.byTensor()
	for _, p := range j.pieces {
		if pieces := tensors[p.tensor]; pieces != nil {
			if err := j.settle(ctx, p.tensor, pieces); err != nil {
				return err
			}
			delete(tensors, p.tensor)
		}
	}
	return j.checkSliced(ctx)
}

// checkSliced looks again at the tensors in slices, whose pieces are there now or
// left out.
func (j *job) checkSliced(ctx context.Context) error {
	if len(j.sliced) == 0 {
		return nil
	}
	rd, err := j.reader(ctx)
	if err != nil {
		return err
	}
	defer rd.Close()
	gone := j.gone()
	for _, it := range j.sliced {
		if gone[it.Key] {
			continue
		}
		err := rd.CheckEntry(ctx, it.Key, &it.Entry)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			p := &piece{item: it, tensor: it.Key, fault: true}
			p.damaged(err, rd)
			p.fate.Help = j.help(p)
			j.pieces = append(j.pieces, p)
		}
	}
	return nil
}

// askDonors looks for the pieces in other checkpoints.
func (j *job) askDonors(ctx context.Context, broken []*piece) error {
	if len(broken) == 0 {
		return nil
	}
	own, err := j.reader(ctx)
	if err != nil {
		return err
	}
	defer own.Close()
	for _, d := range j.donors {
		rd, err := bundle.Open(ctx, d.bucket, d.name, nil)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			if len(j.o.Donors) > 0 || unreadable(err) != nil {
				j.unhelpful(d, err)
			}
			continue
		}
		if rd.Header().BigEndian != own.Header().BigEndian {
			rd.Close()
			continue
		}
		files := make(map[int32]storage.File)
		for _, p := range broken {
			if len(p.ways) < maxDonors {
				j.borrow(ctx, p, d, rd, own, files)
			}
		}
		rd.Close()
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	return nil
}

// unhelpful notes why a donor that could help does not.
func (j *job) unhelpful(d place, err error) {
	if j.refused == nil {
		j.refused = fmt.Errorf("donor %s: %w", fault.Printable(d.prefix), err)
		j.out.DonorProblem = ckpt.ProblemOf(err)
	}
}

// borrow adds what a donor has of a piece.
func (j *job) borrow(ctx context.Context, p *piece, d place, rd, own *bundle.Reader, files map[int32]storage.File) {
	want := &p.item.Entry
	e, err := rd.Entry(p.item.Key)
	if err != nil || e.Shard < 0 || len(e.Slices) > 0 || e.DType != want.DType || !e.Shape.Equal(want.Shape) || e.Size != want.Size || e.CRC != want.CRC {
		return
	}
	if err := rd.Check(ctx, p.item.Key); err != nil {
		j.unhelpful(d, err)
		return
	}
	from := files[e.Shard]
	if from == nil {
		if from, err = d.bucket.Open(ctx, dataName(d, rd, e.Shard)); err != nil {
			j.unhelpful(d, err)
			return
		}
		j.lent = append(j.lent, from)
		files[e.Shard] = from
	}
	p.ways = append(p.ways, change{
		fate:  TensorRepair{How: FromDonor, Donor: d.prefix},
		file:  j.over.add(ctx, dataName(j.from, own, want.Shard)),
		other: replacement{off: want.Offset, n: want.Size, from: from, at: e.Offset},
	})
}

// findBits looks for single flipped bits that explain the damage. Each is tried: it
// must make the piece fit all its checksums.
func (j *job) findBits(ctx context.Context, p *piece) error {
	bits, searched, err := j.candidates(ctx, p)
	if err != nil || len(bits) == 0 {
		return err
	}
	rd, err := j.reader(ctx)
	if err != nil {
		return err
	}
	name := dataName(j.from, rd, p.item.Entry.Shard)
	rd.Close()
	file := j.over.add(ctx, name)
	e, found := &p.item.Entry, 0
	for _, bit := range bits {
		if found == maxWays || bit/8 < e.Offset || bit/8 >= e.Offset+e.Size {
			continue
		}
		c := change{file: file, bit: bit, fate: TensorRepair{
			How: AtRisk, Chance: crc32c.SingleBitChance(searched),
			Flips: []ckpt.Flip{{File: baseName(name), Offset: bit / 8, Bit: int(bit % 8)}},
		}}
		undo, _ := c.apply()
		fits := j.check(ctx, p.item.Key)
		undo()
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if fits {
			p.ways = append(p.ways, c)
			found++
		}
	}
	return nil
}

// candidates are the bits, counted from the beginning of the file, that may explain
// the damage, and how many bytes were searched.
func (j *job) candidates(ctx context.Context, p *piece) (bits []int64, searched int64, err error) {
	var sum *fault.ChecksumError
	if errors.As(p.err, &sum) && sum.Length > 0 {
		bits, searched = bitsOf(sum), sum.Length+4
	}
	if p.item.Entry.DType != tensor.String || p.fate.Problem.Kind != fault.KindChecksum && p.fate.Problem.Kind != fault.KindEntry {
		return bits, searched, nil
	}
	rd, err := j.reader(ctx)
	if err != nil {
		return nil, 0, err
	}
	defer rd.Close()
	more, n, err := rd.LengthFlips(ctx, p.item.Key)
	if err != nil {
		return bits, searched, ctx.Err()
	}
	for _, bit := range more {
		bits = append(bits, 8*p.item.Entry.Offset+bit)
	}
	return dedupe(bits), max(searched, n), nil
}

func dedupe(bits []int64) (out []int64) {
	seen := make(map[int64]bool)
	for _, b := range bits {
		if !seen[b] {
			out = append(out, b)
		}
		seen[b] = true
	}
	return out
}

// settle decides on one tensor, whose pieces are repaired together or not at all
// where its SHA-256 is recorded.
func (j *job) settle(ctx context.Context, name string, pieces []*piece) error {
	var broken []*piece
	for _, p := range pieces {
		if p.err != nil {
			broken = append(broken, p)
		}
	}
	if len(broken) == 0 {
		return nil
	}
	want, recorded := j.sums[name]
	if recorded {
		tries := maxTries
		found, err := j.combine(ctx, broken, &tries, func() bool {
			got, err := j.hash(ctx, name)
			return err == nil && got == want
		})
		if err != nil || found {
			return err
		}
	}
	for _, p := range broken {
		if recorded || !j.settleAlone(ctx, p) {
			p.fate.How, p.fate.Help = LeftOut, j.help(p)
		}
	}
	return ctx.Err()
}

// combine applies one way for each piece, so that the whole is right.
func (j *job) combine(ctx context.Context, rest []*piece, tries *int, right func() bool) (bool, error) {
	if len(rest) == 0 {
		*tries--
		return right(), ctx.Err()
	}
	p := rest[0]
	for i := range p.ways {
		c := &p.ways[i]
		if *tries <= 0 {
			return false, nil
		}
		undo, ok := c.apply()
		if !ok {
			continue
		}
		found, err := j.combine(ctx, rest[1:], tries, right)
		if found {
			p.take(c)
			if p.fate.How == AtRisk {
				p.fate.How, p.fate.Chance = FlippedBack, 0 // confirmed
			}
			return true, err
		}
		undo()
		if err != nil {
			return false, err
		}
	}
	return false, nil
}

// take notes the way that was chosen.
func (p *piece) take(c *change) {
	fate := c.fate
	fate.Name, fate.Problem = p.fate.Name, p.fate.Problem
	p.fate = fate
}

// settleAlone chooses a donor, or the only flipped bit if the risk is accepted.
func (j *job) settleAlone(ctx context.Context, p *piece) bool {
	var lent, bits []*change
	for i := range p.ways {
		if c := &p.ways[i]; c.other.from != nil {
			lent = append(lent, c)
		} else {
			bits = append(bits, c)
		}
	}
	for _, c := range lent {
		if !lent[0].other.equal(ctx, c.other) {
			p.disputed = true
			return false
		}
	}
	for _, c := range lent {
		if _, ok := c.apply(); ok {
			p.take(c)
			return true
		}
	}
	if !j.o.AcceptRisk || len(bits) != 1 || p.item.Entry.Size > riskLimit {
		return false
	}
	bits[0].apply()
	p.take(bits[0])
	return true
}
