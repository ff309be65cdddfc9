// Puts the viewer in the place of the page's text. It talks to the service that served it and to nobody else.
SwaggerUIBundle({
    url: "/openapi.json",
    dom_id: "#viewer",
    validatorUrl: null,
    deepLinking: true,
    defaultModelsExpandDepth: 0,
    syntaxHighlight: {activated: true},
});
