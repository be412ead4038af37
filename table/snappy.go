package table

import "github.com/golang/snappy"

// maxSnappyRatio bounds what Snappy can make out of a byte: the densest
// element is a copy of 64 bytes stored in three.
const maxSnappyRatio = 22

// decodeSnappy decodes a Snappy block (the raw format, without framing). The
// length it claims is believed only as far as limit and the stored bytes allow.
//
// Memory: 22 × len(src) at most, and at most limit, in one piece.
func decodeSnappy(src []byte, limit int64) (decoded []byte, ok bool) {
	n, err := snappy.DecodedLen(src)
	if err != nil || int64(n) > limit || int64(n) > maxSnappyRatio*int64(len(src)) {
		return nil, false
	}
	decoded, err = snappy.Decode(make([]byte, n), src)
	return decoded, err == nil
}
