package gssapi

import (
	"bytes"
	"encoding/asn1"
	"fmt"

	"github.com/posthouse-mail/posthouse/auth"
)

// maxToken bounds a token of a client, in octets. Tickets of Active Directory
// with its longest lists of groups are the largest that are honest.
const maxToken = 12 << 10

// Numbers of the messages of RFC 4120 §5.10, which are their application tags
// as well, and the identifiers of RFC 4121 §4.1.
const (
	apReq   = 14
	apRep   = 15
	version = 5

	tokenAPReq = "\x01\x00"
	tokenAPRep = "\x02\x00"
)

// mechanismOID is 1.2.840.113554.1.2.2 in DER (RFC 4121 §4.1).
const mechanismOID = "\x06\x09\x2a\x86\x48\x86\xf7\x12\x01\x02\x02"

// unframe takes an AP-REQ out of an initial context token (RFC 2743 §3.1).
func unframe(token []byte) ([]byte, error) {
	if len(token) > maxToken {
		return nil, refused("a token is too long")
	}
	inner, err := application(token, 0)
	if err != nil {
		return nil, err
	}
	message, ok := bytes.CutPrefix(inner, []byte(mechanismOID+tokenAPReq))
	if !ok {
		return nil, refused("not a request of Kerberos V5")
	}
	if _, err := application(message, apReq); err != nil {
		return nil, err
	}
	return message, nil
}

// frame makes a context token of an AP-REP.
func frame(message []byte) ([]byte, error) {
	inner := append([]byte(mechanismOID+tokenAPRep), message...)
	return asn1.Marshal(asn1.RawValue{Class: asn1.ClassApplication, Tag: 0, IsCompound: true, Bytes: inner})
}

// application returns what is in a value with an application tag, which
// nothing may follow.
func application(der []byte, tag int) ([]byte, error) {
	var v asn1.RawValue
	rest, err := asn1.Unmarshal(der, &v)
	if err != nil || len(rest) > 0 || v.Class != asn1.ClassApplication || v.Tag != tag || !v.IsCompound {
		return nil, refused("a token is malformed")
	}
	return v.Bytes, nil
}

// refused is the error about what a client sent.
func refused(why string, args ...any) error {
	return fmt.Errorf("%w: GSSAPI: "+why, append([]any{auth.ErrBadCredentials}, args...)...)
}

// guard makes what panics in f, as readers of ASN.1 may, the client's mistake.
func guard(f func() error) (err error) {
	defer func() {
		if recover() != nil {
			err = refused("a token is malformed")
		}
	}()
	return f()
}
