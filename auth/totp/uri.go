package totp

import (
	"encoding/base32"
	"fmt"
	"net/url"
	"strconv"
	"strings"
)

// maxURI bounds a URI, in octets.
const maxURI = 2048

// URI returns a key in the form that apps read from a QR code:
// otpauth://totp/ISSUER:ACCOUNT?secret=…. Issuer and account are what the app
// shows; a colon in them becomes a space, since it has a meaning here.
func (k *Key) URI(issuer, account string) string {
	issuer, account = strings.ReplaceAll(issuer, ":", " "), strings.ReplaceAll(account, ":", " ")
	label := url.PathEscape(account)
	query := url.Values{"secret": {encoding().EncodeToString(k.Secret)}}
	if issuer != "" {
		label = url.PathEscape(issuer) + ":" + label
		query.Set("issuer", issuer)
	}
	query.Set("algorithm", string(k.Algorithm))
	if k.Algorithm == "" {
		query.Set("algorithm", string(SHA1))
	}
	query.Set("digits", strconv.Itoa(k.digits()))
	query.Set("period", strconv.Itoa(k.period()))
	// Some apps show a plus sign as it is.
	return "otpauth://totp/" + label + "?" + strings.ReplaceAll(query.Encode(), "+", "%20")
}

// ParseURI reads a key from a URI, as another system wrote it. ErrKey, which
// holds nothing of it.
func ParseURI(uri string) (k Key, issuer, account string, err error) {
	u, err := url.Parse(uri[:min(len(uri), maxURI)])
	if len(uri) > maxURI || err != nil || u.Scheme != "otpauth" || !strings.EqualFold(u.Host, "totp") {
		return Key{}, "", "", fmt.Errorf("%w: not a URI of otpauth://totp", ErrKey)
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return Key{}, "", "", fmt.Errorf("%w: malformed parameters", ErrKey)
	}
	if k, err = keyOf(query); err != nil {
		return Key{}, "", "", err
	}
	account = strings.TrimPrefix(u.Path, "/")
	if before, after, ok := strings.Cut(account, ":"); ok {
		issuer, account = before, strings.TrimLeft(after, " ")
	}
	if query.Get("issuer") != "" {
		issuer = query.Get("issuer")
	}
	return k, issuer, account, nil
}

// keyOf reads the parameters of a URI.
func keyOf(query url.Values) (k Key, err error) {
	text := strings.ToUpper(strings.TrimRight(query.Get("secret"), "="))
	if k.Secret, err = encoding().DecodeString(text); err != nil {
		return Key{}, fmt.Errorf("%w: its secret is not in base32", ErrKey)
	}
	k.Algorithm = Algorithm(strings.ToUpper(query.Get("algorithm")))
	for name, value := range map[string]*int{"digits": &k.Digits, "period": &k.Period} {
		if text := query.Get(name); text != "" {
			if *value, err = strconv.Atoi(text); err != nil || *value == 0 {
				return Key{}, fmt.Errorf("%w: %s is not a number", ErrKey, name)
			}
		}
	}
	return k, k.Check()
}

func encoding() *base32.Encoding { return base32.StdEncoding.WithPadding(base32.NoPadding) }
