package edit

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/ckpt-go/ckpt"
	"github.com/ckpt-go/ckpt/bundle"
	"github.com/ckpt-go/ckpt/internal/fault"
	"github.com/ckpt-go/ckpt/storage"
)

// riskLimit is the largest tensor of which AcceptRisk flips a bit by its CRC-32C
// alone.
const riskLimit = 1 << 20

// RepairOptions are the options of Repair; nil means the zero value.
type RepairOptions struct {
	// Bucket is where all the checkpoints are. Nil means the local file system.
	Bucket storage.Bucket
	// FollowLinks allows symbolic links that lead out of a checkpoint's folder.
	FollowLinks bool
	// Donors are prefixes of checkpoints that damaged tensors may be taken from,
	// such as a backup. Empty means the other checkpoints of the same folder.
	Donors []string
	// AllowPartial writes the new checkpoint without what cannot be repaired. A
	// program that needs those tensors cannot restore it in full.
	AllowPartial bool
	// AcceptRisk flips a bit back where only the CRC-32C tells which, in tensors of
	// at most 1 MiB that have no recorded SHA-256. Other damage may look like one
	// flipped bit: Chance says how much of it. The new checkpoint's metadata says so.
	AcceptRisk bool
	// DryRun finds out what would be done, and writes nothing.
	DryRun bool
}

// How tells where what a new checkpoint has comes from.
type How string

// The ways of repair. Of an index, Rebuilt means that all its entries were intact,
// and Salvaged that some are lost.
const (
	Intact      How = "intact"     // copied as it is
	FromDonor   How = "donor"      // from another checkpoint: same name, dtype, shape and CRC-32C, and SHA-256 where one is recorded
	FlippedBack How = "bit"        // one bit was flipped back, and a recorded SHA-256 confirms it
	AtRisk      How = "risk"       // one bit was flipped back, and only a CRC-32C says so
	Rebuilt     How = "rebuilt"    // written anew of intact entries
	Salvaged    How = "salvaged"   // written anew of the entries that could be read
	LeftOut     How = "unrepaired" // not in the new checkpoint
)

// Repaired is what Repair did, or would do.
type Repaired struct {
	From, To string
	Index    IndexRepair
	// Intact counts the tensors, each slice for itself, that were copied as they are.
	Intact int
	// Tensors are the others, in the order of the index.
	Tensors []TensorRepair
	// Identical says that every file has the SHA-256 that was recorded of the
	// original: the new checkpoint is that, byte for byte.
	Identical bool
	// MetadataProblem says why what stands beside the source was not understood, nil
	// if it was, or if there is nothing.
	MetadataProblem *ckpt.CorruptError
	// DonorProblem says why a donor that may have had a damaged tensor could not give
	// it, the first of them if there are several.
	DonorProblem *ckpt.CorruptError
}

// IndexRepair is what became of the index.
type IndexRepair struct {
	How    How
	Donor  string               // the prefix it is from
	Flips  []ckpt.Flip          // the bits that were flipped back
	Chance float64              // see TensorRepair
	Lost   []*ckpt.CorruptError // of a salvaged index: the parts whose entries are lost
}

// TensorRepair is what became of one damaged tensor, or slice of one.
type TensorRepair struct {
	Name    string // "w/.ATTRIBUTES/VARIABLE_VALUE", with " slice " and the slice for one
	How     How
	Problem *ckpt.CorruptError // the damage
	Donor   string             // the prefix it is from
	Flips   []ckpt.Flip        // the bit that was flipped back
	// Chance is the probability that other damage of an odd number of bits looks like
	// this flipped bit, for AtRisk.
	Chance float64
	Help   string // what could help, if it is left out
}

// LeftOut are the tensors that were not repaired.
func (r *Repaired) LeftOut() (all []TensorRepair) {
	for _, t := range r.Tensors {
		if t.How == LeftOut {
			all = append(all, t)
		}
	}
	return all
}

// Complete tells whether the new checkpoint has all that the old one had.
func (r *Repaired) Complete() bool { return len(r.Index.Lost) == 0 && len(r.LeftOut()) == 0 }

// Repair writes a new checkpoint at the prefix to with all that can be had of the
// one at from, which may be damaged or not; both are exact prefixes. A prefix to that
// has a checkpoint is fs.ErrExist, and so is one that has data files without an index,
// unless a repair like this one left them when it was killed. The source, and donors, are only read. The new
// checkpoint is there complete or not at all, as one that is saved; before it can be
// seen it is read back and verified.
//
// What is intact is copied byte for byte; what is not comes from another checkpoint
// where name, dtype, shape and recorded CRC-32C are equal, or is repaired by flipping
// one bit back if the SHA-256 that SaveOptions.Digests recorded confirms it. Nothing
// else is changed unless AcceptRisk allows it. A tensor whose SHA-256 is recorded is
// intact only if it has that. If nothing is left out the files are those that were
// written, byte for byte; otherwise the rest lies one behind the other, and the object
// graph stays what it was.
//
// Metadata is carried over if it belongs to the index, and says under the value
// "repair" what was done. Where the index lost entries, it belongs if each SHA-256 in
// it of a tensor that is left is right.
//
// The error is ErrCorrupt if something cannot be repaired and AllowPartial is not set;
// the result says what, and what would help. Checkpoints of the format before bundles
// (V1) are errors.ErrUnsupported.
//
// Memory: the index, and the largest tensor whose SHA-256 is compared.
func Repair(ctx context.Context, from, to string, o *RepairOptions) (*Repaired, error) {
	if o == nil {
		o = new(RepairOptions)
	}
	j := &job{o: o, from: o.at(from), to: o.at(to), out: &Repaired{From: from, To: to}}
	err := j.run(ctx)
	if err != nil {
		return j.out, fmt.Errorf("ckpt: repair of %s: %w", fault.Printable(from), err)
	}
	return j.out, nil
}

// job is one repair.
type job struct {
	o        *RepairOptions
	from, to place
	out      *Repaired

	over       *overlay
	donors     []place
	lent       []storage.File // of donors, open until the end
	recorded   []*ckpt.Metadata
	meta       *ckpt.Metadata // that of the index, nil if there is none
	found      []byte         // the index of the source as it was found
	index      *index
	indexBytes []byte
	pieces     []*piece
	sliced     []*bundle.Item               // entries of tensors that are stored in slices
	said       *Note                        // for the new metadata
	refused    error                        // why a donor could not help, the first of them
	sums       map[string][sha256.Size]byte // of tensors, as recorded
}

// run does it all.
func (j *job) run(ctx context.Context) error {
	if err := checkSource(ctx, j.from); err != nil {
		return err
	}
	if err := j.checkTarget(ctx); err != nil {
		return fmt.Errorf("to %s: %w", fault.Printable(j.to.prefix), err)
	}
	if err := j.findDonors(ctx); err != nil {
		return err
	}
	j.over = &overlay{below: j.from.bucket, files: make(map[string]*patched)}
	defer j.close()
	for _, step := range []func(context.Context) error{j.readIndex, j.scan, j.digest, j.mend, j.conclude} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	l, err := j.plan(ctx)
	if err != nil {
		return err
	}
	if err := j.checkLeft(ctx, l); err != nil {
		return fmt.Errorf("to %s: %w", fault.Printable(j.to.prefix), err)
	}
	if j.said, err = noteOf(j.out, noteRoom(j.meta)); err != nil || j.o.DryRun {
		return err
	}
	return j.write(ctx, l)
}

func (j *job) close() {
	j.over.close()
	for _, f := range j.lent {
		f.Close()
	}
}

// findDonors lists the checkpoints that may help.
func (j *job) findDonors(ctx context.Context) (err error) {
	for _, prefix := range j.o.Donors {
		d := j.o.at(prefix)
		there, err := bundle.Exists(ctx, d.bucket, d.name)
		if err == nil && !there {
			err = fmt.Errorf("there is no checkpoint: %w", fs.ErrNotExist)
		}
		if err != nil {
			return fmt.Errorf("donor %s: %w", fault.Printable(prefix), err)
		}
		j.donors = append(j.donors, d)
	}
	if len(j.o.Donors) == 0 {
		j.donors, err = neighbours(ctx, j.from)
	}
	return err
}

// conclude notes what became of each piece, and refuses what must not be left out
// silently.
func (j *job) conclude(ctx context.Context) error {
	r := j.out
	for _, p := range j.pieces {
		if p.err == nil {
			r.Intact++
			continue
		}
		r.Tensors = append(r.Tensors, p.fate)
	}
	if len(r.Tensors) > 0 {
		if err := j.checkInPlace(ctx); err != nil {
			return err
		}
	}
	switch {
	case r.Complete():
		return nil
	case !j.o.AllowPartial:
		return j.unrepaired()
	case len(j.kept()) == 0:
		return fmt.Errorf("%w: nothing of it can be repaired, and nothing was written", ckpt.ErrCorrupt)
	}
	return nil
}

// shown is how many tensors an error names.
const shown = 3

func (j *job) unrepaired() error {
	var b strings.Builder
	left := j.out.LeftOut()
	if n := len(j.out.Index.Lost); n > 0 {
		fmt.Fprintf(&b, "the index is damaged in %d places, and nothing tells which tensors were there; a copy of this checkpoint may help as a donor", n)
	}
	for i, t := range left {
		if b.Len() > 0 {
			b.WriteString("; ")
		}
		if i == shown {
			fmt.Fprintf(&b, "and %d more", len(left)-shown)
			break
		}
		fmt.Fprintf(&b, "tensor %s: %s", fault.Printable(t.Name), t.Help)
	}
	err := fmt.Errorf("%w: not all of it can be repaired, and nothing was written: %s; AllowPartial leaves out what is lost", ckpt.ErrCorrupt, b.String())
	if j.refused != nil {
		err = fmt.Errorf("%w; %w", err, j.refused)
	}
	return err
}

// gone are the tensors that are left out.
func (j *job) gone() map[string]bool {
	gone := make(map[string]bool)
	for _, p := range j.pieces {
		if p.err != nil && p.fate.How == LeftOut {
			gone[p.tensor] = true
		}
	}
	return gone
}

// kept are the entries of the new checkpoint. Slices of a tensor whose own entry is
// lost are nothing.
func (j *job) kept() []bundle.Item {
	gone := j.gone()
	named := make(map[string]bool)
	for i := range j.index.items {
		named[j.index.items[i].Key] = true
	}
	return slices.DeleteFunc(slices.Clone(j.index.items), func(it bundle.Item) bool {
		name := tensorOf(&it)
		return gone[name] || !named[name]
	})
}
