/** The passphrase of Stellar's public network (Stellar docs, Networks). */
export const PUBLIC_NETWORK = "Public Global Stellar Network ; September 2015";
