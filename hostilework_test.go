package ckpt_test

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/ckpt-go/ckpt"
	"github.com/ckpt-go/ckpt/bundle"
	"github.com/ckpt-go/ckpt/internal/crc32c"
	"github.com/ckpt-go/ckpt/internal/wire"
	"github.com/ckpt-go/ckpt/objectgraph"
	"github.com/ckpt-go/ckpt/storage"
	"github.com/ckpt-go/ckpt/storage/storagetest"
	"github.com/ckpt-go/ckpt/tensor"
)

// wantAllocated runs f over size bytes of hostile files and compares what it
// allocates with times × size and 1 MiB. What makes f slow allocates, too.
func wantAllocated(t *testing.T, size, times int, f func()) {
	t.Helper()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	got := after.TotalAlloc - before.TotalAlloc
	t.Logf("%d bytes allocate %d, %.1f times", size, got, float64(got)/float64(size))
	if limit := uint64(times)*uint64(size) + 1<<20; got > limit {
		t.Errorf("%d bytes allocate %d, want at most %d", size, got, limit)
	}
}

// hostile puts an index, data and metadata of the body into a bucket.
func hostile(t *testing.T, index, data, body string) storage.Bucket {
	t.Helper()
	b := newMem()
	storagetest.Put(t, b, "p.index", index)
	storagetest.Put(t, b, "p.data-00000-of-00001", data)
	if body != "" {
		sum := sha256.Sum256([]byte(index))
		storagetest.Put(t, b, "p.meta.json", `{"schema":1,"index_sha256":"`+hex.EncodeToString(sum[:])+`"`+body+`}`)
	}
	return b
}

// oneTensor is the index of a checkpoint whose tensor "w" has these bytes.
func oneTensor(data string) string {
	return craftedIndex([]record{craftedHeader(), craftedEntry("w", bundle.Entry{
		DType: tensor.Float32, Shape: tensor.Shape{int64(len(data) / 4)}, Size: int64(len(data)), CRC: crc32c.Value([]byte(data))})})
}

func TestMetadataMemory(t *testing.T) {
	const n = 1 << 20
	for name, test := range map[string]struct {
		body, want string
	}{
		"empty files":    {`,"digests":true,"files":[` + strings.Repeat("{},", n) + `{}]`, "without a name"},
		"empty tensors":  {`,"digests":true,"tensors":[` + strings.Repeat("{},", n) + `{}]`, "without a name"},
		"empty names":    {`,"digests":true,"tensors":[` + strings.Repeat(`{"name_b64":""},`, n) + `{}]`, "without a name"},
		"values":         {`,"values":{"a":[` + strings.Repeat(`{"":0},`, n) + `{}]}`, "besides digests"},
		"unknown":        {`,"a":[` + strings.Repeat("1,", n) + `1]`, "besides digests"},
		"many unknown":   {strings.Repeat(`,"a":1`, n), "besides digests"},
		"replaced":       {`,"replaced":{"tensors":[` + strings.Repeat("{},", n) + `{}]}`, ""},
		"all that is ok": {`,"digests":true,"tensors":[` + strings.Repeat(`{"name":"w","sha256":"`+strings.Repeat("0", 64)+`"},`, 10000) + `{"name":"w","sha256":"` + strings.Repeat("0", 64) + `"}]`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			b := hostile(t, oneTensor("\x00\x00\x00\x00"), "\x00\x00\x00\x00", test.body)
			wantAllocated(t, len(test.body), 32, func() {
				_, err := ckpt.ReadMetadata(t.Context(), "p", &ckpt.OpenOptions{Bucket: b})
				wantError(t, "ReadMetadata", err, test.want)
			})
		})
	}
	err := func() error {
		_, err := newProgram().Write(t.Context(), "p", &ckpt.SaveOptions{Bucket: newMem(), Metadata: &ckpt.Metadata{Branch: strings.Repeat("b", 2<<20)}})
		return err
	}()
	wantError(t, "what could not be read back", err, "besides digests")
}

// TestDigestWork has metadata ask for the same tensor again and again, and for
// many that are not there.
func TestDigestWork(t *testing.T) {
	const n = 1000
	data := strings.Repeat("\x00", 400*n)
	digest := func(name string) string { return fmt.Sprintf(`{"name":%q,"sha256":"%064d"}`, name, 0) }
	var absent strings.Builder
	for i := range n {
		absent.WriteString("," + digest(fmt.Sprint("W", i)))
	}
	files := `,"digests":true,"files":[` + digest("index") + "," + digest("data-00000-of-00001") + `],"tensors":[` + digest("w")
	for name, body := range map[string]string{"again": files + strings.Repeat(","+digest("w"), n) + "]", "absent": files + absent.String() + "]"} {
		t.Run(name, func(t *testing.T) {
			index := oneTensor(data)
			b := hostile(t, index, data, body)
			wantAllocated(t, len(body)+len(data), 16, func() {
				v, err := ckpt.Verify(t.Context(), "p", &ckpt.VerifyOptions{Bucket: b, Digests: true})
				if err != nil || len(v.Problems) != 3 {
					t.Errorf("got %d problems, %v, want 3: index, data, w", len(v.Problems), err)
				}
			})
		})
	}
}

// TestRepeatedSlices lists one slice thousands of times, whose entry is large.
func TestRepeatedSlices(t *testing.T) {
	const n = 4000
	e := bundle.Entry{DType: tensor.Float32, Shape: tensor.Shape{0}}
	for range n {
		e.Slices = append(e.Slices, bundle.Slice{{Full: true}})
	}
	large := bundle.Entry{DType: tensor.Float32, Shape: tensor.Shape{0}, Unknown: wire.AppendBytesField(nil, 99, make([]byte, 4*n))}
	index := craftedIndex([]record{craftedHeader(), craftedEntry(bundle.EncodeSliceKey("w", bundle.Slice{{Full: true}}), large), craftedEntry("w", e)})
	b := hostile(t, index, "", "")
	wantAllocated(t, len(index), 72, func() {
		r, err := ckpt.Open(t.Context(), "p", &ckpt.OpenOptions{Bucket: b})
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		for v, err := range r.Variables() {
			if err != nil || len(v.Slices) != 1 {
				t.Errorf("got %d slices, %v, want 1", len(v.Slices), err)
			}
		}
	})
}

// TestGuessingWork has thousands of attributes lead to one large entry.
func TestGuessingWork(t *testing.T) {
	const n = 4000
	s := rewrite(t, ckpt.New(ckpt.Objects{"old": scalar(1)}), func(g *objectgraph.Graph) {
		g.Nodes[1].Attributes = slices.Repeat([]objectgraph.Attribute{{Name: "a", Key: "w"}}, n)
	})
	rd, err := bundle.Open(t.Context(), s.bucket, s.prefix, nil)
	if err != nil {
		t.Fatal(err)
	}
	entry, err := rd.Entry(objectgraph.Key)
	if err := errors.Join(err, rd.Close()); err != nil {
		t.Fatal(err)
	}
	large := bundle.Entry{DType: tensor.Float32, Shape: tensor.Shape{0}, Unknown: wire.AppendBytesField(nil, 99, make([]byte, 20*n))}
	index := craftedIndex([]record{craftedHeader(), craftedEntry(objectgraph.Key, entry), craftedEntry("w", large)})
	data := string(bytesIn(t, s.bucket, dataOf(s.prefix)))
	b, size := hostile(t, index, data, ""), len(index)+len(data)
	wantAllocated(t, size, 150, func() {
		r, err := ckpt.Open(t.Context(), "p", &ckpt.OpenOptions{Bucket: b})
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		v, err := r.View(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := v.Diff(t.Context(), ckpt.New(ckpt.Objects{"new": scalar(1)})); err != nil {
			t.Error(err)
		}
	})
}

// TestFindGoodNeedsItsState is what a script asks before it starts from scratch.
func TestFindGoodNeedsItsState(t *testing.T) {
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "checkpoint"), []byte("garbage {"))
	found, err := ckpt.FindGood(t.Context(), dir, nil)
	if err == nil || found == nil || found.State == nil || strings.Contains(err.Error(), "there is no checkpoint in") {
		t.Errorf("got %+v, %v, want that the state file cannot be used", found, err)
	}
	wantError(t, "FindGood", err, "holds no checkpoint")
}
