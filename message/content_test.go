package message

import (
	"bytes"
	"encoding/base64"
	"io"
	"mime/quotedprintable"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"
)

func decoded(t testing.TB, encoding, content string) string {
	t.Helper()
	p := &Part{Type: "text", Encoding: encoding, End: int64(len(content))}
	whole, err := io.ReadAll(DecodedReader(FromBytes([]byte(content)), p))
	require.NoError(t, err)
	pieces, err := io.ReadAll(iotest.OneByteReader(DecodedReader(trickle{FromBytes([]byte(content)), 1}, p)))
	require.NoError(t, err)
	require.Equal(t, string(whole), string(pieces))
	return string(whole)
}

func TestM08Base64(t *testing.T) {
	for s, want := range map[string]string{
		"":                       "",
		"aGVsbG8=":               "hello",
		"aGVsbG8":                "hello",
		"aGVsbG8==":              "hello",
		"aGVs\r\nbG8=\r\n":       "hello",
		" a G V s b G 8 = ":      "hello",
		"aGVs!\x00\xff-_bG8=":    "hello",
		"aGVsbG8=aGVsbG8=":       "hellohello",
		"aGVsbG8aGVsbG8":         "hello\x1a\x19[\x1b\x1b",
		"a":                      "",
		"aG":                     "h",
		"=":                      "",
		"====":                   "",
		"aGVs=bG8=":              "hello",
		"AAECAwQFBgcICQoLDA0ODw": "\x00\x01\x02\x03\x04\x05\x06\x07\x08\t\n\x0b\x0c\r\x0e\x0f",
	} {
		require.Equal(t, want, decoded(t, "base64", s), "%q", s)
	}
}

func TestM09QuotedPrintable(t *testing.T) {
	for s, want := range map[string]string{
		"":                                    "",
		"a=3Db=c3=BC":                         "a=b\xc3\xbc",
		"one =\r\ntwo=\nthree":                "one twothree",
		"one= \t\r\ntwo":                      "onetwo",
		"one \t\r\ntwo \nthree  ":             "one\r\ntwo\nthree",
		"=":                                   "",
		"a=":                                  "a",
		"a= ":                                 "a",
		"=4":                                  "=4",
		"=zz=g0=0g==41":                       "=zz=g0=0g=A",
		"=\r\n=\r\n=\r\n":                     "",
		"a\rb \rc\x00\xff":                    "a\rb \rc\x00\xff",
		"a=0D=0Ab":                            "a\r\nb",
		strings.Repeat("=\r\n", 1e5):          "",
		strings.Repeat("=41", 1e4):            strings.Repeat("A", 1e4),
		strings.Repeat("A", 1e5):              strings.Repeat("A", 1e5),
		strings.Repeat("=", 1e5):              strings.Repeat("=", 1e5-1),
		"a" + strings.Repeat(" ", 8191) + "b": "a" + strings.Repeat(" ", 8191) + "b",
	} {
		require.Equal(t, want, decoded(t, "quoted-printable", s), "%.40q", s)
	}
}

func TestM10OtherEncodingsComeAsTheyAre(t *testing.T) {
	const s = "begin 644 x\n#86)C\n`\nend\n=ybegin size=99999999999999\n"
	for _, encoding := range []string{"7bit", "8bit", "binary", "x-uuencode", "yenc", ""} {
		require.Equal(t, s, decoded(t, encoding, s))
	}
}

func TestDecodersAgreeWithTheStandardLibrary(t *testing.T) {
	text := bytes.Repeat([]byte("Zwölf Boxkämpfer\tjagen = Viktor quer über den großen Sylter Deich. \r\n"), 3000)
	var quoted bytes.Buffer
	w := quotedprintable.NewWriter(&quoted)
	_, err := w.Write(text)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	require.Equal(t, string(text), decoded(t, "quoted-printable", quoted.String()))
	require.Equal(t, string(text), decoded(t, "base64", base64.StdEncoding.EncodeToString(text)))
}

func TestDecodedReaderReadsOnlyItsPart(t *testing.T) {
	msg := "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Transfer-Encoding: base64\r\n\r\nYWJj\r\n--b\r\n\r\nAAAA\r\n--b--\r\n"
	p := mustParse(t, msg, Limits{})
	got, err := io.ReadAll(DecodedReader(FromBytes([]byte(msg)), p.Parts[0]))
	require.NoError(t, err)
	require.Equal(t, "abc", string(got))
}

func TestDecodedReaderPassesErrorsOn(t *testing.T) {
	for _, encoding := range []string{"base64", "quoted-printable", "7bit"} {
		_, err := io.ReadAll(DecodedReader(brokenBody{100_000}, &Part{Encoding: encoding, End: 200_000}))
		require.ErrorIs(t, err, io.ErrClosedPipe, encoding)
	}
}

func TestTextReader(t *testing.T) {
	for _, c := range []struct{ typ, charset, raw, want string }{
		{"text", "utf-8", "ü", "ü"},
		{"text", "", "\xfc", "\xfc"},
		{"text", "us-ascii", "\xfc", "\xfc"},
		{"text", "iso-8859-1", "\xfc", "ü"},
		{"text", "ISO-8859-15", "\xa4", "€"},
		{"text", "windows-1252", "\x80", "€"},
		{"text", "cp1251", "\xcf", "П"},
		{"text", "shift_jis", "\x82\xc6", "と"},
		{"text", "utf-16", "\xff\xfea\x00", "a"},
		{"text", "utf-16", "\xfe\xff\x00a", "a"},
		{"text", "utf-16le", "a\x00", "a"},
		{"text", "nonsense", "\xfc", "\xfc"},
		{"text", strings.Repeat("x", 1<<16), "\xfc", "\xfc"},
		{"text", "replacement", "abc", "abc"},
		{"application", "iso-8859-1", "\xfc", "\xfc"},
	} {
		p := &Part{Type: c.typ, Subtype: "plain", Encoding: "8bit", End: int64(len(c.raw)), Params: []Param{{"charset", c.charset}}}
		got, err := io.ReadAll(TextReader(FromBytes([]byte(c.raw)), p))
		require.NoError(t, err)
		require.Equal(t, c.want, string(got), "%.20s", c.charset)
	}
}

func BenchmarkDecodedReader(b *testing.B) {
	text := bytes.Repeat([]byte("A line of text as people write them, neither long nor short, about.\r\n"), 1000)
	lines := base64.StdEncoding.EncodeToString(text)
	var folded strings.Builder
	for ; len(lines) > 76; lines = lines[76:] {
		folded.WriteString(lines[:76] + "\r\n")
	}
	for encoding, content := range map[string]string{"base64": folded.String(), "quoted-printable": string(text), "7bit": string(text)} {
		b.Run(encoding, func(b *testing.B) {
			body, p := FromBytes([]byte(content)), &Part{Encoding: encoding, End: int64(len(content))}
			b.SetBytes(int64(len(content)))
			for b.Loop() {
				if _, err := io.Copy(io.Discard, DecodedReader(body, p)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
