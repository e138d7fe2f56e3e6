package totp

import (
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/binary"
	"fmt"
	"hash"
)

// Algorithm is the hash of a Key, as it is called in a URI. Empty means SHA1,
// which is sound in an HMAC, and all that many apps know.
type Algorithm string

// The algorithms of RFC 6238 §1.2.
const (
	SHA1   Algorithm = "SHA1"
	SHA256 Algorithm = "SHA256"
	SHA512 Algorithm = "SHA512"
)

func (a Algorithm) hash() func() hash.Hash {
	switch a {
	case "", SHA1:
		return sha1.New
	case SHA256:
		return sha256.New
	case SHA512:
		return sha512.New
	}
	return nil
}

// hotp returns the code of a counter (RFC 4226 §5.3).
func hotp(k *Key, counter uint64) string {
	h := hmac.New(k.Algorithm.hash(), k.Secret)
	h.Write(binary.BigEndian.AppendUint64(nil, counter))
	sum := h.Sum(nil)
	at := sum[len(sum)-1] & 0xf
	number := binary.BigEndian.Uint32(sum[at:]) & 0x7fffffff
	power := uint32(1)
	for range k.digits() {
		power *= 10
	}
	return fmt.Sprintf("%0*d", k.digits(), number%power)
}
