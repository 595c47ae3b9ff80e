package delivery

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// maxAuthorities bounds the file of certificate authorities; the bundle of all public ones is a quarter of a megabyte.
const maxAuthorities = 4 << 20

// authorities returns the certificate authorities that servers are verified by: the system's and those of a PEM file;
// without a path it returns nil, which means the system's. Errors begin with DELIVERY_CA_FILE and leave the path out.
func authorities(path string) (*x509.CertPool, error) {
	if path == "" {
		return nil, nil //nolint:nilnil // what tls.Config means by the system's own
	}
	text, err := readAuthorities(path)
	if err != nil {
		return nil, fmt.Errorf("DELIVERY_CA_FILE names a file that cannot be used: %w", err)
	}
	// A machine may have no authorities of its own; then only the file's are used.
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	if err := addAuthorities(pool, text); err != nil {
		return nil, fmt.Errorf("DELIVERY_CA_FILE names a file that cannot be used: %w", err)
	}
	return pool, nil
}

func readAuthorities(path string) ([]byte, error) {
	file, err := os.Open(path) //nolint:gosec // the operator names the file
	if err != nil {
		return nil, reasonOf(err)
	}
	defer func() { _ = file.Close() }()
	text, err := io.ReadAll(io.LimitReader(file, maxAuthorities+1))
	switch {
	case err != nil:
		return nil, reasonOf(err)
	case len(text) > maxAuthorities:
		return nil, fmt.Errorf("it is larger than %d MiB", maxAuthorities>>20)
	case len(text) == 0:
		return nil, errors.New("it is empty")
	}
	return text, nil
}

// addAuthorities takes every certificate of a PEM text. One that cannot be read is an error, because the endpoints that
// need it would fail later, one by one.
func addAuthorities(pool *x509.CertPool, text []byte) error {
	found := 0
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			continue
		}
		found++
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return fmt.Errorf("certificate %d in it cannot be read", found)
		}
		pool.AddCert(certificate)
	}
	switch marked := bytes.Count(text, []byte("-----BEGIN CERTIFICATE-----")); {
	case found < marked: // pem.Decode passes over what it does not understand
		return errors.New("a certificate in it is damaged")
	case found == 0:
		return errors.New("there is no certificate in it; it must be PEM, with lines -----BEGIN CERTIFICATE-----")
	}
	return nil
}

// reasonOf leaves the path out of an error: whoever confuses two variables puts a secret there.
func reasonOf(err error) error {
	if failed, ok := errors.AsType[*fs.PathError](err); ok {
		return failed.Err
	}
	return err
}
