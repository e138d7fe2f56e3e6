package mapping

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestRoutesReadAsTheyAreWritten(t *testing.T) {
	for text, want := range map[string]Route{
		"10.0.0.11":                      {Host: "10.0.0.11"},
		"mail2.example.test:143":         {Host: "mail2.example.test", Port: 143},
		"mail_2.example.test.":           {Host: "mail_2.example.test."},
		"[2001:db8::7]":                  {Host: "2001:db8::7"},
		"[2001:db8::7]:993,tls=implicit": {Host: "2001:db8::7", Port: 993, TLS: TLSImplicit},
		"[fe80::1%eth0]:24":              {Host: "fe80::1%eth0", Port: 24},
		"a,user=bob@b.test,tls=start":    {Host: "a", User: "bob@b.test", TLS: TLSStart},
		"a:65535,tls=none":               {Host: "a", Port: 65535, TLS: TLSNone},
		"127.0.0.1,tls=none,user=a=b":    {Host: "127.0.0.1", User: "a=b", TLS: TLSNone},
		"3com.example":                   {Host: "3com.example"},
	} {
		r, err := ParseRoute(text)
		require.NoError(t, err, text)
		require.Equal(t, want, r, text)
		again, err := ParseRoute(r.String())
		require.NoError(t, err, r.String())
		require.Equal(t, r, again)
	}
}

func TestX10BadRoutesAreRefused(t *testing.T) {
	for _, text := range []string{
		"", ":143", "host:99999", "host:0", "host:", "host:-1", "host:+1", "host:0143", "host:x", "host:65536",
		"a,b", "a b", "a;b", "a/b", "a\tb", "a\x00", "2001:db8::7", "[10.0.0.1]", "[2001:db8::7", "[]", "[2001:db8::7]x", "[2001:db8::7]:",
		"10.0.0.300", "10.0.0", "1", "-a", "a-", "a..b", ".a", ".", "höst", strings.Repeat("a.", 127) + "aa", strings.Repeat("a", 64),
		"a,", "a,tls", "a,tls=", "a,tls=default", "a,tls=yes", "a,tls=none,tls=none", "a,user=", "a,user=b,user=c", "a,port=1",
		"a,user=b\x01", "a,user=" + strings.Repeat("u", 513), "$1", "*",
	} {
		r, err := ParseRoute(text)
		require.ErrorIs(t, err, ErrBadRoute, "%.60q gave %v", text, r)
		require.Zero(t, r)
	}
}

func TestX10RoutesOfOtherSourcesAreChecked(t *testing.T) {
	require.NoError(t, Route{Host: "127.0.0.1"}.Check())
	for _, r := range []Route{
		{}, {Host: "a b"}, {Host: "a", Port: 99999}, {Host: "a", Port: -1}, {Host: "a", TLS: 4}, {Host: "a", TLS: -1},
		{Host: "a", User: "x\r\nRCPT"}, {Host: "[::1]"},
	} {
		require.ErrorIs(t, r.Check(), ErrBadRoute, "%v", r)
	}
}

func FuzzParseRoute(f *testing.F) {
	for _, s := range []string{"a:1,user=x,tls=start", "[::1]:5", "10.0.0.1", "a,,", "[::1", "a:99999"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		r, err := ParseRoute(s)
		if err != nil {
			require.ErrorIs(t, err, ErrBadRoute)
			require.Zero(t, r)
			return
		}
		require.NoError(t, r.Check())
		again, err := ParseRoute(r.String())
		require.NoError(t, err)
		require.Equal(t, r, again)
	})
}
