package auth

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/go-crypt/crypt/algorithm"
	"github.com/go-crypt/crypt/algorithm/argon2"
	"github.com/go-crypt/crypt/algorithm/bcrypt"
	"github.com/go-crypt/crypt/algorithm/pbkdf2"
	"github.com/go-crypt/crypt/algorithm/scrypt"
	"github.com/go-crypt/crypt/algorithm/shacrypt"
)

// maxHash bounds a stored hash, in octets, and with it the key that is
// derived.
const maxHash = 512

// costs bound what one verification may cost. A directory that was tampered
// with must not be able to take a server's memory or processors.
type costs struct {
	memory uint64 // KiB of argon2 and scrypt
	passes uint64 // of argon2 over its memory, times KiB
	lanes  uint64 // of argon2 and scrypt
	bcrypt uint64 // its cost, a power of two
	rounds uint64 // of PBKDF2
	crypt  uint64 // rounds of SHA-crypt
}

// honest is beyond what anybody recommends.
var honest = costs{memory: 256 << 10, passes: 1 << 20, lanes: 16, bcrypt: 16, rounds: 10_000_000, crypt: 5_000_000}

// decodeHash reads a stored hash of any scheme that is known here.
func decodeHash(hash string, limit costs) (algorithm.Digest, error) {
	if len(hash) > maxHash {
		return nil, fmt.Errorf("%w: too long", ErrHash)
	}
	hash = withoutBraces(hash)
	words := strings.Split(hash, "$")
	if len(words) < 4 || words[0] != "" {
		return nil, fmt.Errorf("%w: %w", ErrHash, errScheme)
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
	case "pbkdf2", "pbkdf2-sha1", "pbkdf2-sha224", "pbkdf2-sha256", "pbkdf2-sha384", "pbkdf2-sha512":
		decode, err = pbkdf2.Decode, atMost(words[2], limit.rounds)
	case "5", "6":
		decode, err = shacrypt.Decode, within(words[2], map[string]uint64{"rounds": limit.crypt})
	default:
		err = errScheme
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrHash, err)
	}
	digest, err := decode(hash)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrHash, err)
	}
	return digest, nil
}

// withoutBraces takes the name of a scheme off a hash that tells its scheme
// itself.
func withoutBraces(hash string) string {
	if rest, ok := strings.CutPrefix(hash, "{"); ok {
		if _, after, ok := strings.Cut(rest, "}"); ok && strings.HasPrefix(after, "$") {
			return after
		}
	}
	return hash
}

func (c costs) argon2(parameters string) error {
	memory, err := largest(parameters, "m", c.memory)
	if err != nil {
		return err
	}
	times, err := largest(parameters, "t", c.passes)
	if err != nil {
		return err
	}
	if memory*times > c.passes {
		return errExpensive
	}
	return within(parameters, map[string]uint64{"p": c.lanes})
}

func (c costs) scrypt(parameters string) error {
	power, err := largest(parameters, "ln", 30)
	if err != nil {
		return err
	}
	block, err := largest(parameters, "r", 8*c.memory)
	if err != nil {
		return err
	}
	if power == 0 || block == 0 || block<<power > 8*c.memory { // 128 octets each
		return errExpensive
	}
	return within(parameters, map[string]uint64{"p": c.lanes})
}

// Reasons of ErrHash.
var (
	errExpensive = errors.New("its cost is out of bounds")
	errScheme    = errors.New("its scheme is unknown")
)

// within checks the numbers in "a=1,b=2" against their upper bounds.
func within(text string, upper map[string]uint64) error {
	for name, limit := range upper {
		if _, err := largest(text, name, limit); err != nil {
			return err
		}
	}
	return nil
}

// largest returns the largest number that a parameter is given, because a
// parameter may stand there twice; 0 when it is not there.
func largest(text, name string, limit uint64) (most uint64, err error) {
	for pair := range strings.SplitSeq(text, ",") {
		if value, ok := strings.CutPrefix(pair, name+"="); ok {
			n, err := strconv.ParseUint(value, 10, 32)
			if err != nil || n > limit {
				return 0, errExpensive
			}
			most = max(most, n)
		}
	}
	return most, nil
}

func atMost(number string, limit uint64) error {
	_, err := largest("n="+number, "n", limit)
	return err
}
