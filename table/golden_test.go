package table_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/ckpt-go/ckpt/internal/crc32c"
	"github.com/ckpt-go/ckpt/internal/wire"
)

// goldens are whole files that TensorFlow 2.15.1, 2.16.2, 2.18.1 and 2.21.0
// write alike.
var goldens = []struct{ name, file string }{
	{"A only a counter", "" +
		"00000608011a020801001c0d5f434845434b504f494e5441424c455f4f424a4543545f4752415048080712002008286c" +
		"35e2668e9800270b736176655f636f756e7465722f2e415454524942555445532f5641524941424c455f56414c554508" +
		"0912002808350175de41000000000100000000696ac0a0000000000100000000c0f2a1b0000102740072000000000100" +
		"0000008fbe6e9f770884010e000000000000000000000000000000000000000000000000000000000000000000000057" +
		"fb808b247547db"},
	{"B two variables", "" +
		"00000608011a020801001c0e5f434845434b504f494e5441424c455f4f424a4543545f475241504808071200201828f6" +
		"0135a2bb601800270d736176655f636f756e7465722f2e415454524942555445532f5641524941424c455f56414c5545" +
		"0809120020102808350175de41011e0b7465702f2e415454524942555445532f5641524941424c455f56414c55450809" +
		"1200280835bbd79f11001c11762f2e415454524942555445532f5641524941424c455f56414c55450801120412020802" +
		"2008280835593ce53500000000010000000039e111dd000000000100000000c0f2a1b00001037700d101000000000100" +
		"000000cbca9e13d60108e3010f0000000000000000000000000000000000000000000000000000000000000000000057" +
		"fb808b247547db"},
	{"C strings", "" +
		"00000608011a02080100010f730807120412020802280835a5dd30810000000001000000001a3ab60000000000010000" +
		"0000c0f2a1b000010274002400000000010000000070bd12762908360e00000000000000000000000000000000000000" +
		"000000000000000000000000000000000057fb808b247547db"},
	{"E two slices", "" +
		"00000608011a02080100080f00760001010180820801120412020802280835593ce53506021182820801120412020802" +
		"2008280835620a976b0001167608011204120208043a040a0210023a060a040802100200000000010000000090a1e803" +
		"000000000100000000c0f2a1b000010277005b0000000001000000005d3d113360086d0e000000000000000000000000" +
		"00000000000000000000000000000000000000000000000057fb808b247547db"},
	{"F two shards and slices", "" +
		"00000608021a020801000a1500760001010280818082080112081202080112020802200128083589b0c2300604178181" +
		"80820801120812020801120208021801200128083517f24cdd00010d61080612001801280135052b284300010b620806" +
		"1200280135d28f2549000122760801120812020802120208023a080a0210010a0210023a0a0a04080110010a02100200" +
		"00000001000000007eb57427000000000100000000c0f2a1b00001037700970100000000010000000067ad1ec39c0108" +
		"a9010f0000000000000000000000000000000000000000000000000000000000000000000057fb808b247547db"},
	{"G int4, empty, bool, bfloat16, string", "" +
		"00000608011a02080100011162080a12041202080220042802355fb0ce810001116508011206120012020803200435d8" +
		"ea82a200011168080e12041202080220062804352e4a56f200010f6e081d12041202080428043568374fcf00010d7308" +
		"071200200a280535bd6707be000000000100000000bbf0d0c3000000000100000000c0f2a1b000010274007400000000" +
		"0100000000c49e15b7790886010e00000000000000000000000000000000000000000000000000000000000000000000" +
		"0057fb808b247547db"},
	{"H V1 file", "" +
		"0000240a220a090a01691200180322000a110a0177120412020802180122040a02100212020801000515006900010012" +
		"130a016912001a0c3a0affffffffffffffffff010107177700010101808212150a017712040a0210021a0a2a08000080" +
		"3f0000004000000000010000000002e7d3d9000000000100000000c0f2a1b000010201006d00000000010000000021b0" +
		"722372087f0e00000000000000000000000000000000000000000000000000000000000000000000000057fb808b2475" +
		"47db"},
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestGoldenReencode(t *testing.T) {
	for _, g := range goldens {
		t.Run(g.name, func(t *testing.T) {
			file := unhex(t, g.file)
			entries, err := scan(mustOpen(t, file))
			if err != nil || len(entries) < 2 || entries[0].key != "" {
				t.Fatalf("got %q, %v", entries, err)
			}
			if got := build(t, nil, entries); !bytes.Equal(got, file) {
				t.Errorf("got  %x\nwant %x", got, file)
			}
		})
	}
}

// TestGoldenD writes the index of 6000 scalars that TensorFlow splits into two
// blocks.
func TestGoldenD(t *testing.T) {
	entries := []kv{{"", "\x08\x01\x1a\x02\x08\x01"}}
	for k := range 6000 {
		v := wire.AppendVarintField(nil, 1, 1) // float32
		v = wire.AppendBytesField(v, 2, "")    // scalar
		if k > 0 {
			v = wire.AppendVarintField(v, 4, uint64(4*k)) // offset
		}
		v = wire.AppendVarintField(v, 5, 4) // size
		value := binary.LittleEndian.AppendUint32(nil, math.Float32bits(float32(k)))
		v = wire.AppendFixed32Field(v, 6, crc32c.Mask(crc32c.Value(value)))
		entries = append(entries, kv{fmt.Sprintf("layer/%05d/.ATTRIBUTES/VARIABLE_VALUE", k), string(v)})
	}
	file := build(t, nil, entries)
	const want = "c433e9449cf46fd1077c8e34a5f18ddcd52e2460face09679015bf57c530a232"
	if got := fmt.Sprintf("%x", sha256.Sum256(file)); len(file) != 277956 || got != want {
		t.Errorf("got %d bytes, sha256 %s, want 277956, %s", len(file), got, want)
	}
	blocks := []span{
		{"layer/05666/.ATTRIBUTES/VARIABLE_VALUE", 0, 262162},
		{"m", 262167, 15652},
	}
	if got := layout(t, file); !slices.Equal(got, blocks) {
		t.Errorf("blocks %v, want %v", got, blocks)
	}
	got, err := scan(mustOpen(t, file))
	if err != nil || !slices.Equal(got, entries) {
		t.Errorf("reading gives %d entries, %v, want %d", len(got), err, len(entries))
	}
}

// TestBlockBoundaries pins the rules for closing a block, seen in files of
// TensorFlow.
func TestBlockBoundaries(t *testing.T) {
	header := kv{"", "h"}
	large := func(n int) kv { return kv{"k", strings.Repeat("v", n-1)} }
	for _, tc := range []struct {
		name    string
		entries []kv
		keys    []string // of the index
	}{
		{"just below two blocks", []kv{header, large(524287)}, []string{"l"}},
		{"two blocks exactly", []kv{header, large(524288)}, []string{"", "l"}},
		{"large one first", []kv{large(600000), {"m", ""}}, []string{"l", "n"}},
		{"closed by the entry that crosses", []kv{header, large(262144), {"m", ""}}, []string{"l", "n"}},
		{"key counts in full", []kv{header, {strings.Repeat("k", 524280), "12345678"}}, []string{"", "l"}},
		{"a prefix is not shortened", []kv{{"a", strings.Repeat("v", 262144)}, {"ab", ""}}, []string{"a", "b"}},
		{"separator", []kv{{"abc", strings.Repeat("v", 262144)}, {"azz", ""}}, []string{"ac", "b"}},
		{"no room for a separator", []kv{{"ab1", strings.Repeat("v", 262144)}, {"ac", ""}}, []string{"ab1", "b"}},
		{"successor inside a rune", []kv{{"\u00fc", ""}}, []string{"\xc4"}},
		{"successor behind ff", []kv{{"\xff\x01\x02", ""}}, []string{"\xff\x02"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			file := build(t, nil, tc.entries)
			var keys []string
			for _, s := range layout(t, file) {
				keys = append(keys, s.key)
			}
			if !slices.Equal(keys, tc.keys) {
				t.Errorf("index keys %q, want %q", keys, tc.keys)
			}
			if got, err := scan(mustOpen(t, file)); err != nil || !slices.Equal(got, tc.entries) {
				t.Errorf("reading gives %d entries, %v", len(got), err)
			}
		})
	}
}

// wildTables returns the tables among the files found in public repositories,
// which are kept beside the repository and not in it.
func wildTables(t testing.TB) []string {
	t.Helper()
	root := filepath.Join("..", "..", "shared", "wild")
	if _, err := os.Stat(root); err != nil {
		t.Skip("no files from the wild beside the repository")
	}
	var names []string
	for _, pattern := range []string{"*/*.index", "*/*/*.index", "tf1-v1-format/save-60000", "tf1-v1-sharded-name/*/export*"} {
		found, err := filepath.Glob(filepath.Join(root, filepath.FromSlash(pattern)))
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, found...)
	}
	if len(names) < 15 {
		t.Fatalf("only %d tables in %s", len(names), root)
	}
	return names
}

func TestWildReencode(t *testing.T) {
	for _, name := range wildTables(t) {
		t.Run(name, func(t *testing.T) {
			file, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			r, err := open(file)
			if strings.Contains(name, "git-lfs-pointer") {
				wantCorrupt(t, err, "format", "not an sstable (bad magic number)")
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			entries, err := scan(r)
			if err != nil || len(entries) < 2 {
				t.Fatalf("%d entries, %v", len(entries), err)
			}
			again := build(t, nil, entries)
			if strings.Contains(name, "snappy-index") {
				if bytes.Equal(again, file) {
					t.Error("not compressed after all")
				}
				back, err := scan(mustOpen(t, again))
				if err != nil || !slices.Equal(back, entries) {
					t.Errorf("written plain: %d entries, %v, want %d", len(back), err, len(entries))
				}
				return
			}
			if !bytes.Equal(again, file) {
				t.Errorf("%d bytes again differ from the %d of the file", len(again), len(file))
			}
		})
	}
}
