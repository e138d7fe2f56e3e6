package auth

import (
	"strconv"
	"strings"
)

// costs bound what one verification may cost. A directory that was tampered
// with must not be able to take a server's memory or processors.
type costs struct {
	memory uint64 // KiB of argon2, scrypt and yescrypt
	passes uint64 // of argon2 over its memory, times KiB
	lanes  uint64 // of argon2 and scrypt
	bcrypt uint64 // its cost, a power of two
	rounds uint64 // of PBKDF2, and so of SCRAM
	crypt  uint64 // rounds of SHA-crypt
}

// honest is beyond what anybody recommends.
var honest = costs{memory: 256 << 10, passes: 1 << 20, lanes: 16, bcrypt: 16, rounds: 10_000_000, crypt: 5_000_000}

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

// yescrypt checks the setting of a hash as libxcrypt writes it: the letter j,
// and one digit each for the power of two and the size of a block.
func (c costs) yescrypt(setting string) error {
	if len(setting) != 3 || setting[0] != 'j' {
		return errBroken
	}
	power, block := 1+strings.IndexByte(cryptDigits, setting[1]), 1+strings.IndexByte(cryptDigits, setting[2])
	if power < 10 || power > 18 || block < 1 || block > 32 || uint64(block)<<power > 8*c.memory {
		return errExpensive
	}
	return nil
}

// cryptDigits are the digits of crypt(3), from 0 to 63.
const cryptDigits = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

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
