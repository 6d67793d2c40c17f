// Stands in for https://accounts.google.com/gsi/client with --mock: the same calls, and buttons that sign in at once.
const people = ["alice", "ada"];
let asked;
window.google = { accounts: { id: {
    initialize(options) {
        asked = options;
    },
    renderButton(parent) {
        const buttons = people.map((person) => {
            const button = document.createElement("button");
            button.id = `mock-${person}`;
            button.textContent = `Mock Google: continue as ${person}`;
            button.addEventListener("click", async () => {
                const query = new URLSearchParams({ person, nonce: asked.nonce });
                asked.callback(await (await fetch(`/app/mock-credential?${query}`)).json());
            });
            return button;
        });
        parent.replaceChildren(...buttons);
    },
    disableAutoSelect() {},
} } };
