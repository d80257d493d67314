// An issuer of identity tokens: oidc-provider, with the pages to sign in that it has for development.
// node provider.mjs MODULE PORT REDIRECT_URI
import process from "node:process";

const [module, port, redirect] = process.argv.slice(2);
const { default: Provider } = await import(module);
const issuer = `http://127.0.0.1:${port}`;
const provider = new Provider(issuer, {
  clients: [
    { client_id: "page", client_secret: "secret of the page", redirect_uris: [redirect] },
    {
      client_id: "job",
      client_secret: "secret of the job",
      redirect_uris: [],
      response_types: [],
      grant_types: ["client_credentials"],
    },
  ],
  claims: { openid: ["sub"], email: ["email", "email_verified"], groups: ["groups"] },
  conformIdTokenClaims: false,
  findAccount: (_, id) => ({
    accountId: id,
    claims: () => ({ sub: id, email: `${id}@example.com`, email_verified: id !== "eve", groups: ["dev", "staff"] }),
  }),
  pkce: { required: () => true },
  features: {
    clientCredentials: { enabled: true },
    resourceIndicators: {
      enabled: true,
      getResourceServerInfo: () => ({
        scope: "",
        audience: "sidecargo",
        accessTokenTTL: 600,
        accessTokenFormat: "jwt",
        jwt: { sign: { alg: "RS256" } },
      }),
    },
  },
});
provider.listen(Number(port), "127.0.0.1");
