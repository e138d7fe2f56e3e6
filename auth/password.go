package auth

import (
	"context"
	"fmt"
	"runtime"
	"strings"

	"github.com/go-crypt/crypt/algorithm/argon2"
	"golang.org/x/text/unicode/norm"
)

// The cost of a new hash: argon2id with 19 MiB, two passes and one lane, one
// of the settings of equal strength that OWASP recommends, and of those the
// one that fits best where many people log in. It takes some tens of
// milliseconds of one processor.
const (
	argonMemory = 19 << 10 // KiB
	argonTime   = 2
	argonLanes  = 1
	argonKey    = 32 // octets
	argonSalt   = 16 // octets
)

// maxPassword bounds a password, in octets: hashing must not be made
// expensive by its length.
const maxPassword = maxWord

// hashing bounds how many hashes are computed at the same time, because each
// takes a processor and its memory. Nothing else happens while a place in it
// is held, so nobody waits for long.
var hashing = make(chan struct{}, runtime.GOMAXPROCS(0))

// ErrPassword is returned for a password that HashPassword can't take.
var ErrPassword = fmt.Errorf("a password has 1 to %d octets, none of them NUL", maxPassword)

// HashPassword returns a hash of a password, to be kept in its place, in PHC
// string format with argon2id (RFC 9106). A password in Unicode is hashed in
// its normal form C (RFC 8265 §4.2). ErrPassword.
func HashPassword(password string) (string, error) {
	if !possible(password) {
		return "", ErrPassword
	}
	h, err := argon2.New(argon2.WithVariantID(), argon2.WithM(argonMemory), argon2.WithT(argonTime), argon2.WithP(argonLanes),
		argon2.WithK(argonKey), argon2.WithS(argonSalt))
	if err != nil {
		return "", fmt.Errorf("password hash: %w", err)
	}
	hashing <- struct{}{}
	defer func() { <-hashing }()
	digest, err := h.Hash(norm.NFC.String(password))
	if err != nil {
		return "", fmt.Errorf("password hash: %w", err)
	}
	return digest.Encode(), nil
}

// possible reports whether anybody can have a password.
func possible(password string) bool {
	return password != "" && len(password) <= maxPassword && strings.IndexByte(password, 0) < 0
}

// VerifyPassword is VerifyPasswordContext without an end.
func VerifyPassword(hash, password string) (ok bool, err error) {
	return VerifyPasswordContext(context.Background(), hash, password)
}

// VerifyPasswordContext is Verify of the zero Verifier.
func VerifyPasswordContext(ctx context.Context, hash, password string) (ok bool, err error) {
	return Verifier{}.Verify(ctx, hash, password)
}
