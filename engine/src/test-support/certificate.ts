// A certificate for localhost that signs itself, with its key: for tests, valid until 2126, trusted by nobody else.
//
//   openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 36500 -subj /CN=localhost \
//     -addext "subjectAltName=DNS:localhost,IP:127.0.0.1" -keyout key.pem -out certificate.pem

export const key = `-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg6s0MzHSnsH/oAh1o
cytr3Mrj5UOdfRwysop9xv8COaOhRANCAARj4bYaZ1BBNrJmrS/vMwBKsH3a29Tn
J5pBW+Fgm25hLKvnS6yzvopCJizdrhtQYjNFR5CyhwexJQVO0jMZfGhH
-----END PRIVATE KEY-----
`;

export const certificate = `-----BEGIN CERTIFICATE-----
MIIBmzCCAUGgAwIBAgIUaVElHHnJXaj/07Lo/c29PyOdZ2YwCgYIKoZIzj0EAwIw
FDESMBAGA1UEAwwJbG9jYWxob3N0MCAXDTI2MTEyMTE0MDkzMFoYDzIxMjYxMDI4
MTQwOTMwWjAUMRIwEAYDVQQDDAlsb2NhbGhvc3QwWTATBgcqhkjOPQIBBggqhkjO
PQMBBwNCAARj4bYaZ1BBNrJmrS/vMwBKsH3a29TnJ5pBW+Fgm25hLKvnS6yzvopC
JizdrhtQYjNFR5CyhwexJQVO0jMZfGhHo28wbTAdBgNVHQ4EFgQU8dAeDukCIJzC
NgvYXz+TqbafAU4wHwYDVR0jBBgwFoAU8dAeDukCIJzCNgvYXz+TqbafAU4wDwYD
VR0TAQH/BAUwAwEB/zAaBgNVHREEEzARgglsb2NhbGhvc3SHBH8AAAEwCgYIKoZI
zj0EAwIDSAAwRQIgTZWWVJruK/Y7u7xh3ohQcRY9UN+AS1RFURrp2Ml22zsCIQDY
O7exXusBiPmEu5TKbom/ynQUjppXRSImOggxefQvTQ==
-----END CERTIFICATE-----
`;
