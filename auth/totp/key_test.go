package totp

import (
	"encoding/base32"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// secretOf is the secret of the vectors: the digits, over and over.
func secretOf(n int) []byte { return []byte(strings.Repeat("1234567890", 7))[:n] }

func TestRFC4226AppendixDVectors(t *testing.T) {
	k := Key{Secret: secretOf(20)}
	for counter, code := range []string{"755224", "287082", "359152", "969429", "338314", "254676", "287922", "162583", "399871", "520489"} {
		require.Equal(t, code, hotp(&k, uint64(counter)))
	}
}

func TestRFC6238AppendixBVectors(t *testing.T) {
	keys := []Key{
		{Secret: secretOf(20), Algorithm: SHA1, Digits: 8}, {Secret: secretOf(32), Algorithm: SHA256, Digits: 8}, {Secret: secretOf(64), Algorithm: SHA512, Digits: 8},
	}
	for at, codes := range map[int64][3]string{
		59:          {"94287082", "46119246", "90693936"},
		1111111109:  {"07081804", "68084774", "25091201"},
		1111111111:  {"14050471", "67062674", "99943326"},
		1234567890:  {"89005924", "91819424", "93441116"},
		2000000000:  {"69279037", "90698825", "38618901"},
		20000000000: {"65353130", "77737706", "47863826"},
	} {
		for i, k := range keys {
			require.Equal(t, codes[i], k.Code(time.Unix(at, 0)), "%d %s", at, k.Algorithm)
			step, ok := k.Verify(codes[i], time.Unix(at, 0))
			require.True(t, ok)
			require.Equal(t, at/30, step)
		}
	}
}

func TestACodeIsGoodOneStepBeforeAndAfterItsOwn(t *testing.T) {
	k := NewKey()
	at := time.Unix(1_000_000_020, 0) // a step begins here
	code := k.Code(at)
	for off, want := range map[time.Duration]bool{
		-31 * time.Second: false, -30 * time.Second: true, 0: true, 29 * time.Second: true, 59 * time.Second: true, 60 * time.Second: false,
	} {
		step, ok := k.Verify(code, at.Add(off))
		require.Equal(t, want, ok, off)
		if ok {
			require.Equal(t, at.Unix()/30, step)
		}
	}
	for _, other := range []string{"", code + "0", code[1:], "0" + code, " " + code, strings.Repeat("0", 1<<20)} {
		_, ok := k.Verify(other, at)
		require.False(t, ok)
	}
}

func TestAKeyThatIsWeakOrStrangeIsRefused(t *testing.T) {
	for _, k := range []Key{
		{}, {Secret: make([]byte, 15)}, {Secret: make([]byte, 129)}, {Secret: secretOf(20), Algorithm: "MD5"}, {Secret: secretOf(20), Algorithm: "sha1"},
		{Secret: secretOf(20), Digits: 5}, {Secret: secretOf(20), Digits: 9}, {Secret: secretOf(20), Digits: -6},
		{Secret: secretOf(20), Period: 9}, {Secret: secretOf(20), Period: 121}, {Secret: secretOf(20), Period: -30},
	} {
		require.ErrorIs(t, k.Check(), ErrKey)
		require.Empty(t, k.Code(time.Unix(59, 0)))
		_, ok := k.Verify("", time.Unix(59, 0))
		require.False(t, ok)
	}
	a, b := NewKey(), NewKey()
	require.NoError(t, a.Check())
	require.NotEqual(t, a.Secret, b.Secret)
}

func TestAKeyIsReadFromTheURIThatIsShown(t *testing.T) {
	k := Key{Secret: secretOf(20)}
	require.Equal(t, "otpauth://totp/Example%20Mail:alice@example.test?algorithm=SHA1&digits=6&issuer=Example%20Mail&period=30&secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ",
		k.URI("Example Mail", "alice@example.test"))
	for _, c := range []struct {
		Key
		issuer, account string
	}{
		{k, "Example Mail", "alice@example.test"}, {k, "", "alice"}, {Key{secretOf(64), SHA512, 8, 60}, "100% & more?", "jürgen+tag/x#y@example.test"},
	} {
		got, issuer, account, err := ParseURI(c.URI(c.issuer, c.account))
		require.NoError(t, err)
		require.Equal(t, c.issuer+"|"+c.account, issuer+"|"+account)
		at := time.Unix(1234567890, 0)
		require.Equal(t, c.Code(at), got.Code(at))
	}
	_, issuer, account, err := ParseURI(k.URI("a:b", "c:d"))
	require.NoError(t, err)
	require.Equal(t, "a b|c d", issuer+"|"+account)
	got, _, _, err := ParseURI("otpauth://TOTP/x?secret=gezdgnbvgy3tqojqgezdgnbvgy3tqojq==&algorithm=sha256")
	require.NoError(t, err)
	require.Equal(t, Key{Secret: secretOf(20), Algorithm: SHA256}, got)
}

func TestAURIThatIsNoneShowsNothing(t *testing.T) {
	good := base32.StdEncoding.EncodeToString(secretOf(20))
	for _, uri := range []string{
		"", "otpauth://hotp/x?secret=" + good, "http://totp/x?secret=" + good, "otpauth://totp/x", "otpauth://totp/x?secret=GEZDGNBV", "otpauth://totp/x?secret=!" + good,
		"otpauth://totp/x?secret=" + good + "&digits=six", "otpauth://totp/x?secret=" + good + "&digits=0", "otpauth://totp/x?secret=" + good + "&digits=10",
		"otpauth://totp/x?secret=" + good + "&period=99999999999999999999", "otpauth://totp/x?secret=" + good + "&period=-1",
		"otpauth://totp/x?secret=" + good + "&algorithm=MD5", "otpauth://totp/x?%zz&secret=" + good, "otpauth://totp/%zz?secret=" + good,
		"otpauth://totp/" + strings.Repeat("x", 4000) + "?secret=" + good,
	} {
		_, _, _, err := ParseURI(uri)
		require.ErrorIs(t, err, ErrKey, uri)
		require.NotContains(t, err.Error(), good)
	}
}

func TestKeysAreInNoLog(t *testing.T) {
	k := Key{Secret: secretOf(20)}
	f := Factor{Key: &k, Recovery: []string{"12345678901234567890"}}
	var out strings.Builder
	log := slog.New(slog.NewJSONHandler(&out, nil))
	log.Info("x", "k", k, "f", f, "p", &k)
	fmt.Fprintf(&out, "%v %+v %#v %v %+v %#v %v %+v %#v", k, k, k, &k, &k, &k, f, f, f)
	for _, secret := range []string{string(k.Secret), "GEZDGNBV", fmt.Sprint(k.Secret), "MTIzNDU2"} {
		require.NotContains(t, out.String(), secret)
	}
}

// FuzzURI proves that what is read from a URI is a usable key, and is the same
// in the URI that is made of it.
func FuzzURI(f *testing.F) {
	k := Key{Secret: secretOf(20)}
	f.Add(k.URI("Example Mail", "alice@example.test"))
	f.Add("otpauth://totp/a:b?secret=gezdgnbvgy3tqojqgezdgnbvgy3tqojq&digits=8&period=60&algorithm=sha512&issuer=c")
	f.Add("otpauth://totp/?secret=%00&digits=-1")
	f.Fuzz(func(t *testing.T, uri string) {
		k, issuer, account, err := ParseURI(uri)
		if err != nil {
			return
		}
		if k.Check() != nil {
			t.Errorf("%q is read as an unusable key", uri)
		}
		again := k.URI(issuer, account)
		same, _, _, err := ParseURI(again)
		if len(again) <= maxURI && (err != nil || k.Code(time.Unix(59, 0)) != same.Code(time.Unix(59, 0))) {
			t.Errorf("%q became %q: %v", uri, again, err)
		}
	})
}
