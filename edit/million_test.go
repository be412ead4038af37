package edit_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/ckpt-go/ckpt"
	"github.com/ckpt-go/ckpt/edit"
	"github.com/ckpt-go/ckpt/storage"
	"github.com/ckpt-go/ckpt/storage/storagetest"
	"github.com/ckpt-go/ckpt/tensor"
)

// damage changes bytes as disks and memory do: two to eight bits anywhere, a burst, a
// block of zeros, words that changed places, a byte that slipped. Sometimes only one
// bit. What happens to be what it was gets one more bit.
func damage(random *rand.Rand, data []byte) []byte {
	before := slices.Clone(data)
	bit := func() { data[random.IntN(len(data))] ^= 1 << random.IntN(8) }
	switch random.IntN(8) {
	case 0, 1, 2:
		for range 2 + random.IntN(7) {
			bit()
		}
	case 3: // burst of up to eight bytes
		from := random.IntN(len(data))
		for i := from; i < min(len(data), from+1+random.IntN(8)); i++ {
			data[i] = byte(random.Uint32())
		}
	case 4:
		from := random.IntN(len(data))
		clear(data[from:min(len(data), from+1+random.IntN(len(data)))])
	case 5:
		if n := len(data) / 4; n > 1 {
			i, j := 4*random.IntN(n), 4*random.IntN(n)
			for k := range 4 {
				data[i+k], data[j+k] = data[j+k], data[i+k]
			}
		}
	case 6:
		i := random.IntN(len(data))
		copy(data[i:], data[min(i+1, len(data)-1):])
	case 7:
		bit()
	}
	if slices.Equal(before, data) {
		bit()
	}
	return data
}

var damagesWanted = flag.Int("damages", 100_000, "how many tensors TestRepairDamages damages")

// damages is how many damages TestRepairDamages makes of each kind of checkpoint.
func damages() int {
	if testing.Short() || raceDetector {
		return 16_000
	}
	return *damagesWanted
}

const perRound = 2000

// TestRepairDamages damages tensors, a million with -damages 1000000. Where a SHA-256 is recorded, and
// wherever the risk is not accepted, no repair is ever wrong; where only a CRC-32C
// tells, a wrong one is marked with its probability.
func TestRepairDamages(t *testing.T) {
	for _, c := range []struct {
		name          string
		digests, risk bool
		rounds        int
	}{
		{"SHA-256", true, false, damages() / perRound},
		{"SHA-256, risk accepted", true, true, damages() / perRound / 4},
		{"CRC-32C", false, false, damages() / perRound / 4},
		{"CRC-32C, risk accepted", false, true, damages() / perRound},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			b := newBucket()
			objects := make(ckpt.Objects)
			for i := range perRound {
				n := 1 + i%7*i%200
				objects[fmt.Sprint(i)] = ckpt.NewVariable(fmt.Sprint(i), tensor.Shape{int64(n)}, numbers(n, float32(i)))
			}
			if _, err := ckpt.New(objects).Write(t.Context(), "ckpt-2", &ckpt.SaveOptions{Bucket: b, Digests: c.digests}); err != nil {
				t.Fatal(err)
			}
			n := newTally(t, b)
			random := rand.New(rand.NewPCG(uint64(c.rounds), 7))
			for range c.rounds {
				n.round(t, random, &edit.RepairOptions{Bucket: b, AllowPartial: true, AcceptRisk: c.risk})
				if t.Failed() {
					return
				}
			}
			t.Logf("%d damages: %d repaired rightly, %d left out, %d wrongly repaired and marked", n.all, n.right, n.left, n.wrong)
			switch {
			case n.wrong > 0 && (c.digests || !c.risk):
				t.Errorf("%d wrong repairs", n.wrong)
			case n.right > 0 && !c.digests && !c.risk:
				t.Errorf("%d bits were flipped without proof", n.right)
			}
		})
	}
}

// tally counts what becomes of damages.
type tally struct {
	b                       storage.Bucket
	data                    string
	names                   []string
	places                  map[string][2]int64
	all, right, left, wrong int
}

func newTally(t *testing.T, b storage.Bucket) *tally {
	t.Helper()
	n := &tally{b: b, data: storagetest.Get(t, b, dataFile), places: make(map[string][2]int64)}
	r, err := ckpt.Open(t.Context(), "ckpt-2", &ckpt.OpenOptions{Bucket: b})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for v, err := range r.Variables() {
		if err != nil {
			t.Fatal(err)
		}
		if v.DType == tensor.Float32 {
			n.names = append(n.names, v.Name)
			n.places[v.Name] = [2]int64{v.Offset, v.Offset + v.Bytes}
		}
	}
	return n
}

// round damages every tensor but one and repairs the checkpoint.
func (n *tally) round(t *testing.T, random *rand.Rand, o *edit.RepairOptions) {
	t.Helper()
	data := []byte(n.data)
	for _, name := range n.names {
		damage(random, data[n.places[name][0]:n.places[name][1]])
	}
	storagetest.Put(t, n.b, dataFile, string(data))
	r, err := edit.Repair(t.Context(), "ckpt-2", "good", o)
	if err != nil {
		t.Fatal(err)
	}
	fate := make(map[string]*edit.TensorRepair)
	for i := range r.Tensors {
		fate[r.Tensors[i].Name] = &r.Tensors[i]
	}
	good, err := ckpt.Open(t.Context(), "good", &ckpt.OpenOptions{Bucket: n.b})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range n.names {
		n.all++
		n.judge(t, name, fate[name], good)
	}
	good.Close()
	if err := ckpt.Remove(t.Context(), "good", &ckpt.FindOptions{Bucket: n.b}); err != nil {
		t.Fatal(err)
	}
}

// judge compares one tensor with what it was.
func (n *tally) judge(t *testing.T, name string, f *edit.TensorRepair, good *ckpt.Reader) {
	t.Helper()
	if f == nil {
		t.Errorf("%s counts as intact", name)
		return
	}
	if f.How == edit.LeftOut {
		if n.left++; good.Has(name) {
			t.Errorf("%s was left out and is there", name)
		}
		return
	}
	v, err := good.Tensor(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	if string(v.Bytes()) == n.data[n.places[name][0]:n.places[name][1]] {
		n.right++
		return
	}
	if n.wrong++; f.How != edit.AtRisk || f.Chance <= 0 {
		t.Errorf("%s is wrong, and not marked: %+v", name, f)
	}
}
