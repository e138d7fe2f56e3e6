package totp

import (
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"fmt"
	"log/slog"
	"time"
)

// Bounds of a key.
const (
	minSecret = 16 // octets; RFC 4226 §4 R6
	maxSecret = 128
	newSecret = 20 // what R6 recommends
	minDigits = 6
	maxDigits = 8
	minPeriod = 10 // seconds
	maxPeriod = 120
)

// skew is how many time steps a clock may be off (RFC 6238 §5.2).
const skew = 1

// Key is what an app and the server share. A zero Algorithm, Digits and Period
// mean what all apps know: SHA1, six digits, 30 seconds.
type Key struct {
	Secret    []byte    `json:"secret"`
	Algorithm Algorithm `json:"algorithm,omitempty"`
	Digits    int       `json:"digits,omitempty"` // 6 to 8
	Period    int       `json:"period,omitempty"` // seconds, 10 to 120
}

// ErrKey is the error of a key that is too weak, or that can't be.
var ErrKey = errors.New("unusable key of a second factor")

// NewKey returns a random key.
func NewKey() Key {
	secret := make([]byte, newSecret)
	_, _ = rand.Read(secret) // never fails
	return Key{Secret: secret}
}

// Check returns what is wrong with a key: ErrKey.
func (k *Key) Check() error {
	switch {
	case len(k.Secret) < minSecret || len(k.Secret) > maxSecret:
		return fmt.Errorf("%w: a secret has %d to %d octets", ErrKey, minSecret, maxSecret)
	case k.Algorithm.hash() == nil:
		return fmt.Errorf("%w: its algorithm is unknown", ErrKey)
	case k.digits() < minDigits || k.digits() > maxDigits:
		return fmt.Errorf("%w: a code has %d to %d digits", ErrKey, minDigits, maxDigits)
	case k.period() < minPeriod || k.period() > maxPeriod:
		return fmt.Errorf("%w: a period has %d to %d seconds", ErrKey, minPeriod, maxPeriod)
	}
	return nil
}

// Code returns the code of a time since 1970; empty when the key is unusable.
func (k *Key) Code(at time.Time) string {
	if k.Check() != nil || at.Unix() < 0 {
		return ""
	}
	return hotp(k, uint64(k.step(at)))
}

// Verify reports whether a code is one of a time, or of the step before or
// after it, and which step it is of: the earliest that fits. It takes the same
// time whatever the code. Nothing fits an unusable key. A caller must see to it
// that no step is used twice.
func (k *Key) Verify(code string, at time.Time) (step int64, ok bool) {
	if k.Check() != nil {
		return 0, false
	}
	for s := k.step(at) + skew; s >= k.step(at)-skew; s-- {
		if s >= 0 && subtle.ConstantTimeCompare([]byte(hotp(k, uint64(s))), []byte(code)) == 1 {
			step, ok = s, true
		}
	}
	return step, ok
}

// step is the number of a time step (RFC 6238 §4.2).
func (k *Key) step(at time.Time) int64 { return at.Unix() / int64(k.period()) }

// end is when the code of a step can be used no more.
func (k *Key) end(step int64) time.Time { return time.Unix((step+1+skew)*int64(k.period()), 0) }

func (k *Key) digits() int { return orDefault(k.Digits, minDigits) }
func (k *Key) period() int { return orDefault(k.Period, 30) }

func orDefault(v, def int) int {
	if v == 0 {
		return def
	}
	return v
}

// String keeps the secret out of logs.
func (Key) String() string { return "key of a second factor" }

// GoString is String, for the verb %#v.
func (k Key) GoString() string { return k.String() }

// LogValue keeps the secret out of structured logs.
func (k Key) LogValue() slog.Value { return slog.StringValue(k.String()) }
