package auth

import (
	"fmt"
	"runtime"
	"sync"

	"github.com/go-crypt/crypt"
	"github.com/go-crypt/crypt/algorithm"
	"github.com/go-crypt/crypt/algorithm/argon2"
	"github.com/go-crypt/crypt/algorithm/bcrypt"
	"github.com/go-crypt/crypt/algorithm/pbkdf2"
	"github.com/go-crypt/crypt/algorithm/scrypt"
	"github.com/go-crypt/crypt/algorithm/shacrypt"
)

// The cost of a new hash: argon2id with 19 MiB, two passes and one lane, the
// smallest of the settings of equal strength that OWASP recommends. It takes
// some tens of milliseconds of one processor.
const (
	argonMemory = 19 << 10 // KiB
	argonTime   = 2
	argonLanes  = 1
)

// maxPassword bounds a password, in octets: hashing must not be made
// expensive by its length.
const maxPassword = 1024

// hashing bounds how many hashes are computed at the same time, because each
// takes a processor and its memory.
var hashing = make(chan struct{}, runtime.GOMAXPROCS(0))

// newHasher is made once: its checks are not free.
var newHasher = sync.OnceValues(func() (algorithm.Hash, error) {
	return argon2.New(argon2.WithVariantID(), argon2.WithM(argonMemory), argon2.WithT(argonTime), argon2.WithP(argonLanes))
})

// newDecoder knows the schemes that VerifyPassword accepts.
var newDecoder = sync.OnceValues(func() (*crypt.Decoder, error) {
	d := crypt.NewDecoder()
	for _, register := range []func(algorithm.DecoderRegister) error{
		argon2.RegisterDecoder, bcrypt.RegisterDecoder, scrypt.RegisterDecoder, pbkdf2.RegisterDecoder, shacrypt.RegisterDecoder,
	} {
		if err := register(d); err != nil {
			return nil, err
		}
	}
	return d, nil
})

// HashPassword returns a hash of a password, to be kept in its place, in PHC
// string format with argon2id (RFC 9106).
func HashPassword(password string) (string, error) {
	if password == "" || len(password) > maxPassword {
		return "", fmt.Errorf("a password has 1 to %d octets", maxPassword)
	}
	h, err := newHasher()
	if err != nil {
		return "", err
	}
	hashing <- struct{}{}
	defer func() { <-hashing }()
	digest, err := h.Hash(password)
	if err != nil {
		return "", err
	}
	return digest.Encode(), nil
}

// VerifyPassword reports whether a password fits a hash: argon2, bcrypt,
// scrypt, PBKDF2 or SHA-crypt ("$5$", "$6$"). A hash that can't be read, an
// empty one among them, is an error and fits nothing.
func VerifyPassword(hash, password string) (bool, error) {
	d, err := newDecoder()
	if err != nil {
		return false, err
	}
	digest, err := d.Decode(hash)
	if err != nil {
		return false, fmt.Errorf("password hash: %w", err)
	}
	if password == "" || len(password) > maxPassword {
		return false, nil
	}
	hashing <- struct{}{}
	defer func() { <-hashing }()
	return digest.MatchAdvanced(password)
}
