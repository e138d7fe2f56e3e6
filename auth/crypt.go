package auth

import (
	"strings"

	"github.com/go-crypt/crypt/algorithm"
	"github.com/go-crypt/crypt/algorithm/argon2"
	"github.com/go-crypt/crypt/algorithm/bcrypt"
	"github.com/go-crypt/crypt/algorithm/pbkdf2"
	"github.com/go-crypt/crypt/algorithm/scrypt"
	"github.com/go-crypt/crypt/algorithm/shacrypt"
)

// decodeCrypt reads a hash in the form of modular crypt or PHC, which tells
// its scheme itself: "$scheme$…$…".
func (v Verifier) decodeCrypt(hash string, limit costs) (matcher, error) {
	words := strings.Split(hash, "$")
	if len(words) < 4 || words[0] != "" {
		return nil, errScheme
	}
	var decode algorithm.DecodeFunc
	var err error
	switch words[1] {
	case "argon2id", "argon2i", "argon2d":
		decode, err = argon2.Decode, limit.argon2(words[2]+","+words[3])
	case "2", "2a", "2b", "2x", "2y":
		decode, err = bcrypt.Decode, atMost(words[2], limit.bcrypt)
	case "bcrypt-sha256":
		decode, err = bcrypt.Decode, within(words[2], map[string]uint64{"r": limit.bcrypt})
	case "scrypt":
		decode, err = scrypt.Decode, limit.scrypt(words[2])
	case "y":
		decode, err = decodeYescrypt, limit.yescrypt(words[2])
	case "pbkdf2", "pbkdf2-sha1", "pbkdf2-sha224", "pbkdf2-sha256", "pbkdf2-sha384", "pbkdf2-sha512":
		decode, err = pbkdf2.Decode, atMost(words[2], limit.rounds)
	case "5", "6":
		decode, err = shacrypt.Decode, within(words[2], map[string]uint64{"rounds": limit.crypt})
	case "1", "apr1":
		return v.decodeMD5Crypt(words)
	default:
		err = errScheme
	}
	if err != nil {
		return nil, err
	}
	digest, err := decode(hash)
	if err != nil {
		return nil, errBroken // the library's reasons quote the hash
	}
	return digest, nil
}

// decodeYescrypt reads "$y$setting$salt$key". The library takes keys of any
// length, but those of yescrypt have 256 bits, which is 43 digits.
func decodeYescrypt(hash string) (algorithm.Digest, error) {
	if len(hash)-strings.LastIndexByte(hash, '$') != 1+43 {
		return nil, errBroken
	}
	return scrypt.Decode(hash)
}
