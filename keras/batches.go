package keras

import (
	"fmt"
	"math"
	"math/rand/v2"

	"github.com/ckpt-go/ckpt"
)

// Batches deals the examples of a data set out in random order, each once an
// epoch, and remembers its position in a checkpoint: a resumed program goes on
// with the very batch that would have come next. It tracks four int64 and
// uint64 scalars: examples, seed, epoch and position.
//
// It is not safe for concurrent use.
type Batches struct {
	ckpt.Node
	n, size int
	stored  *ckpt.Variable[int64]  // examples, as the checkpoint says
	seed    *ckpt.Variable[uint64] // of the orders of all epochs
	epoch   *ckpt.Variable[int64]
	next    *ckpt.Variable[int64] // in this epoch

	order      []int // of the examples in an epoch
	orderSeed  uint64
	orderEpoch int64
}

// NewBatches deals n examples out in batches of a size. What is left of an epoch
// and too small for a batch is left out. It panics unless 1 ≤ size ≤ n.
func NewBatches(n, size int, seed uint64) *Batches {
	if size < 1 || n < size {
		panic(fmt.Errorf("keras: batches of %d out of %d examples", size, n))
	}
	b := &Batches{
		n: n, size: size,
		stored: ckpt.NewScalar("examples", int64(n)),
		seed:   ckpt.NewScalar("seed", seed),
		epoch:  ckpt.NewScalar("epoch", int64(0)),
		next:   ckpt.NewScalar("position", int64(0)),
	}
	edges := []child{{"examples", b.stored}, {"seed", b.seed}, {"epoch", b.epoch}, {"position", b.next}}
	if err := b.TrackAll(children(edges)); err != nil {
		panic(err) // a new node takes new objects
	}
	return b
}

// Epoch is the number of times all examples were dealt out.
func (b *Batches) Epoch() int64 { return b.epoch.Value() }

// Next gives the indices of the next batch; the caller must not change them and
// they are good until the next call. It is an error when a checkpoint was
// restored that was made with another number of examples, or whose position
// lies outside of them.
func (b *Batches) Next() ([]int, error) {
	if b.stored.Value() != int64(b.n) {
		return nil, fmt.Errorf("keras: the checkpoint's position is one among %d examples, the program has %d; restore with the same data, or track new Batches", b.stored.Value(), b.n)
	}
	at, epoch := b.next.Value(), b.epoch.Value()
	if at < 0 || at > int64(b.n) || epoch < 0 || epoch == math.MaxInt64 {
		return nil, fmt.Errorf("keras: the restored position, example %d of epoch %d, is not one among %d examples", at, epoch, b.n)
	}
	if at+int64(b.size) > int64(b.n) {
		at, epoch = 0, epoch+1
	}
	if seed := b.seed.Value(); b.order == nil || seed != b.orderSeed || epoch != b.orderEpoch {
		b.order = rand.New(rand.NewPCG(seed, uint64(epoch))).Perm(b.n)
		b.orderSeed, b.orderEpoch = seed, epoch
	}
	b.next.Assign(at + int64(b.size))
	b.epoch.Assign(epoch)
	return b.order[at : at+int64(b.size)], nil
}
