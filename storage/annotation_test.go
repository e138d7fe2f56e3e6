package storage

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestCleanAnnotationsAreInLowerCase(t *testing.T) {
	for name, want := range map[string]string{
		"/comment": "/comment", "/Vendor/ACME/x": "/vendor/acme/x", "/a b": "/a b", `/"\`: `/"\`, "/~": "/~",
		"/" + strings.Repeat("x", MaxAnnotationName-1): "/" + strings.Repeat("x", MaxAnnotationName-1),
	} {
		a, err := Annotation{Name: name, User: "Bob", Value: []byte("X\x00\xff")}.Clean()
		require.NoError(t, err)
		require.Equal(t, Annotation{Name: want, User: "Bob", Value: []byte("X\x00\xff")}, a)
	}
}

func TestAnnotationsThatNobodyCanHaveAreRefused(t *testing.T) {
	for _, name := range []string{"", "/", "comment", "comment/x", "/a/", "/a//b", "//a", "/a*", "/%", "/a\x00", "/a\n", "/\x7f", "/é", "/\xff"} {
		_, err := Annotation{Name: name}.Clean()
		require.ErrorIs(t, err, ErrBadName, "%q", name)
	}
	_, err := Annotation{Name: "/a", User: strings.Repeat("x", MaxName+1)}.Clean()
	require.ErrorIs(t, err, ErrBadName)
	_, err = Annotation{Name: "/" + strings.Repeat("x", MaxAnnotationName)}.Clean()
	require.ErrorIs(t, err, ErrLimit)
	_, err = Annotation{Name: "/a", Value: make([]byte, MaxAnnotationValue)}.Clean()
	require.NoError(t, err)
	_, err = Annotation{Name: "/a", Value: make([]byte, MaxAnnotationValue+1)}.Clean()
	require.ErrorIs(t, err, ErrLimit)
}
