package gssapi

import (
	"crypto/rand"

	"github.com/jcmturner/gokrb5/v8/types"
)

// keySize returns how many octets a key of an encryption type has; 0 for the
// types that are no good: only those with AES are (RFC 8429, RFC 6649).
func keySize(encryption int32) int {
	switch encryption {
	case 17, 19: // aes128-cts-hmac-sha1-96 (RFC 3962), aes128-cts-hmac-sha256-128 (RFC 8009)
		return 16
	case 18, 20: // aes256-cts-hmac-sha1-96, aes256-cts-hmac-sha384-192
		return 32
	}
	return 0
}

func goodKey(k types.EncryptionKey) bool {
	size := keySize(k.KeyType)
	return size > 0 && len(k.KeyValue) == size
}

// newKey makes a key of the kind of another.
func newKey(like types.EncryptionKey) types.EncryptionKey {
	k := types.EncryptionKey{KeyType: like.KeyType, KeyValue: make([]byte, keySize(like.KeyType))}
	_, _ = rand.Read(k.KeyValue) // never fails
	return k
}
