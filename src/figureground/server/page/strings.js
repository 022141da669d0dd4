/* Every text of the page. To add a language: a column with the same keys, and its name in `LANGUAGES`. */
export const LANGUAGES = { en: "English", de: "Deutsch", pt: "Português" };

const TEXTS = {
  en: {
    method: "Method", quality: "Quality", apiKey: "API key", language: "Language", theme: "Light or dark", shortcuts: "Keyboard shortcuts",
    queue: "Pictures", add: "Add", picture: "Picture", tools: "Tools", drop: "Drop pictures, paste, or choose files",
    choose: "Choose files", camera: "Camera", address: "Address of a picture", load: "Load", samples: "Or try one of these",
    local: "Pictures stay on this machine.", remote: "Pictures are sent to {0} and held there for 10 minutes.",
    dropHere: "Drop to add", zoomIn: "Zoom in", zoomOut: "Zoom out", fit: "Fit", undo: "Undo", redo: "Redo", before: "Before",
    look: "Show", look_cutout: "Cut-out", look_overlay: "Overlay", look_line: "Mask edge", look_mask: "Mask",
    compare: "Compare before and after", correct: "Correct", keep: "Keep", dropPart: "Drop", box: "Box", restore: "Restore", erase: "Erase",
    hint_keep: "Click on what is missing.", hint_drop: "Click on what should go.", hint_box: "Drag a box around the subject.",
    hint_restore: "Paint what is missing.", hint_erase: "Paint what should go.", size: "Size", hardness: "Hardness",
    edge: "Edge", refine: "Refine", feather: "Feather", shift: "Shift", background: "Background", none: "None", white: "White", black: "Black",
    gray: "Light gray", color: "Color", behind: "Picture", blur: "Blur", shadow: "Shadow", outline: "Outline", crop: "Size",
    crop_original: "Original", crop_subject: "Crop to subject", crop_margin: "Crop with margin", crop_square: "Square", crop_shop: "Shop, 2000 × 2000",
    format: "Format", download: "Download", downloadAll: "Download all", close: "Close", remove: "Remove {0}", point: "Point {0}. Delete removes it",
    fast: "Fast", balanced: "Balanced", best: "Best",
    ready: "Ready", uploading: "Uploading, {0} of {1}", waiting: "Waiting, {0} before it", working: "Finding the subject", changing: "Updating", rendering: "Preparing the file",
    found: "Subject found, {0} % of the picture", certainty: "certainty {0}", seconds: "{0} s", drawn: "Painted by hand",
    nothing: "No subject found. Drag a box around it, or click on it.", failed: "It did not work: {0}", retry: "Try again", offline: "The server does not answer. Check that it runs.",
    large: "This file has {0}; at most {1} are read.", tryBox: "Draw a box", tryKeep: "Click on it", saved: "Saved {0}", zipped: "{0} of {1} pictures in the file",
    unreadable: "The browser cannot show this picture, but the result can be saved.",
    k_open: "Open files", k_paste: "Paste a picture", k_queue: "Go to a picture", k_keep: "Keep", k_drop: "Drop", k_box: "Box", k_erase: "Erase", k_restore: "Restore",
    k_brush: "Brush size", k_undo: "Undo, redo", k_fit: "Fit", k_zoom: "Zoom", k_pan: "Pan", k_compare: "Compare", k_look: "Show cut-out, overlay, edge or mask", k_download: "Download", k_help: "This list", k_click: "With the picture focused: arrows move the pointer, Space clicks",
    drag: "drag", space: "Space",
  },
  de: {
    method: "Methode", quality: "Qualität", apiKey: "API-Schlüssel", language: "Sprache", theme: "Hell oder dunkel", shortcuts: "Tastenkürzel",
    queue: "Bilder", add: "Mehr", picture: "Bild", tools: "Werkzeuge", drop: "Bilder ablegen, einfügen oder auswählen",
    choose: "Dateien wählen", camera: "Kamera", address: "Adresse eines Bildes", load: "Laden", samples: "Oder eines von diesen ausprobieren",
    local: "Die Bilder bleiben auf diesem Rechner.", remote: "Die Bilder werden an {0} gesendet und dort 10 Minuten gehalten.",
    dropHere: "Zum Hinzufügen loslassen", zoomIn: "Vergrößern", zoomOut: "Verkleinern", fit: "Einpassen", undo: "Rückgängig", redo: "Wiederholen", before: "Vorher",
    look: "Anzeigen", look_cutout: "Freisteller", look_overlay: "Überlagerung", look_line: "Maskenrand", look_mask: "Maske",
    compare: "Vorher und nachher vergleichen", correct: "Korrigieren", keep: "Behalten", dropPart: "Weg", box: "Rahmen", restore: "Malen", erase: "Radieren",
    hint_keep: "Klicken, was fehlt.", hint_drop: "Klicken, was weg soll.", hint_box: "Einen Rahmen um das Motiv ziehen.",
    hint_restore: "Malen, was fehlt.", hint_erase: "Übermalen, was weg soll.", size: "Größe", hardness: "Härte",
    edge: "Kante", refine: "Verfeinern", feather: "Weich", shift: "Versetzen", background: "Hintergrund", none: "Keiner", white: "Weiß", black: "Schwarz",
    gray: "Hellgrau", color: "Farbe", behind: "Bild", blur: "Unscharf", shadow: "Schatten", outline: "Umriss", crop: "Größe",
    crop_original: "Original", crop_subject: "Auf das Motiv", crop_margin: "Motiv mit Rand", crop_square: "Quadrat", crop_shop: "Shop, 2000 × 2000",
    format: "Format", download: "Speichern", downloadAll: "Alle speichern", close: "Schließen", remove: "{0} entfernen", point: "Punkt {0}. Entf entfernt ihn",
    fast: "Schnell", balanced: "Ausgewogen", best: "Beste",
    ready: "Bereit", uploading: "Hochladen, {0} von {1}", waiting: "Wartet, {0} davor", working: "Das Motiv wird gesucht", changing: "Wird aktualisiert", rendering: "Die Datei wird vorbereitet",
    found: "Motiv gefunden, {0} % des Bildes", certainty: "Sicherheit {0}", seconds: "{0} s", drawn: "Von Hand gemalt",
    nothing: "Kein Motiv gefunden. Einen Rahmen darum ziehen oder darauf klicken.", failed: "Es hat nicht geklappt: {0}", retry: "Noch einmal", offline: "Der Server antwortet nicht. Läuft er noch?",
    large: "Diese Datei hat {0}; gelesen werden höchstens {1}.", tryBox: "Rahmen ziehen", tryKeep: "Darauf klicken", saved: "{0} gespeichert", zipped: "{0} von {1} Bildern in der Datei",
    unreadable: "Der Browser kann dieses Bild nicht zeigen, das Ergebnis lässt sich aber speichern.",
    k_open: "Dateien öffnen", k_paste: "Bild einfügen", k_queue: "Zu einem Bild", k_keep: "Behalten", k_drop: "Weg", k_box: "Rahmen", k_erase: "Radieren", k_restore: "Malen",
    k_brush: "Pinselgröße", k_undo: "Rückgängig, wiederholen", k_fit: "Einpassen", k_zoom: "Zoom", k_pan: "Verschieben", k_compare: "Vergleichen", k_look: "Freisteller, Überlagerung, Rand oder Maske", k_download: "Speichern", k_help: "Diese Liste", k_click: "Ist das Bild im Fokus: Pfeile bewegen den Zeiger, die Leertaste klickt",
    drag: "ziehen", space: "Leertaste",
  },
  pt: {
    method: "Método", quality: "Qualidade", apiKey: "Chave da API", language: "Idioma", theme: "Claro ou escuro", shortcuts: "Atalhos de teclado",
    queue: "Imagens", add: "Mais", picture: "Imagem", tools: "Ferramentas", drop: "Largue imagens, cole ou escolha ficheiros",
    choose: "Escolher ficheiros", camera: "Câmara", address: "Endereço de uma imagem", load: "Carregar", samples: "Ou experimente uma destas",
    local: "As imagens ficam nesta máquina.", remote: "As imagens são enviadas para {0} e ficam lá 10 minutos.",
    dropHere: "Largue para adicionar", zoomIn: "Aumentar", zoomOut: "Diminuir", fit: "Ajustar", undo: "Anular", redo: "Refazer", before: "Antes",
    look: "Mostrar", look_cutout: "Recorte", look_overlay: "Sobreposição", look_line: "Contorno da máscara", look_mask: "Máscara",
    compare: "Comparar antes e depois", correct: "Corrigir", keep: "Manter", dropPart: "Retirar", box: "Caixa", restore: "Pintar", erase: "Apagar",
    hint_keep: "Clique no que falta.", hint_drop: "Clique no que deve sair.", hint_box: "Desenhe uma caixa à volta do motivo.",
    hint_restore: "Pinte o que falta.", hint_erase: "Pinte o que deve sair.", size: "Tamanho", hardness: "Dureza",
    edge: "Contorno", refine: "Refinar", feather: "Suavizar", shift: "Deslocar", background: "Fundo", none: "Nenhum", white: "Branco", black: "Preto",
    gray: "Cinzento claro", color: "Cor", behind: "Imagem", blur: "Desfocado", shadow: "Sombra", outline: "Linha", crop: "Tamanho",
    crop_original: "Original", crop_subject: "Cortar ao motivo", crop_margin: "Cortar com margem", crop_square: "Quadrado", crop_shop: "Loja, 2000 × 2000",
    format: "Formato", download: "Transferir", downloadAll: "Transferir todas", close: "Fechar", remove: "Retirar {0}", point: "Ponto {0}. Delete retira-o",
    fast: "Rápida", balanced: "Equilibrada", best: "Melhor",
    ready: "Pronto", uploading: "A enviar, {0} de {1}", waiting: "À espera, {0} à frente", working: "A procurar o motivo", changing: "A atualizar", rendering: "A preparar o ficheiro",
    found: "Motivo encontrado, {0} % da imagem", certainty: "certeza {0}", seconds: "{0} s", drawn: "Pintado à mão",
    nothing: "Nenhum motivo encontrado. Desenhe uma caixa à volta ou clique nele.", failed: "Não funcionou: {0}", retry: "Tentar de novo", offline: "O servidor não responde. Verifique se está a funcionar.",
    large: "Este ficheiro tem {0}; são lidos no máximo {1}.", tryBox: "Desenhar caixa", tryKeep: "Clicar nele", saved: "{0} guardado", zipped: "{0} de {1} imagens no ficheiro",
    unreadable: "O navegador não consegue mostrar esta imagem, mas o resultado pode ser guardado.",
    k_open: "Abrir ficheiros", k_paste: "Colar uma imagem", k_queue: "Ir para uma imagem", k_keep: "Manter", k_drop: "Retirar", k_box: "Caixa", k_erase: "Apagar", k_restore: "Pintar",
    k_brush: "Tamanho do pincel", k_undo: "Anular, refazer", k_fit: "Ajustar", k_zoom: "Zoom", k_pan: "Mover", k_compare: "Comparar", k_look: "Mostrar recorte, sobreposição, contorno ou máscara", k_download: "Transferir", k_help: "Esta lista", k_click: "Com a imagem em foco: as setas movem o ponteiro, Espaço clica",
    drag: "arrastar", space: "Espaço",
  },
};

let language = "en";

/** Choose a language; returns the one that is there. */
export function setLanguage(name) {
  language = name in TEXTS ? name : "en";
  document.documentElement.lang = language;
  return language;
}

/** Return a text, with {0}, {1} … replaced. */
export function text(key, ...values) {
  return (TEXTS[language][key] ?? key).replace(/\{(\d)\}/g, (_, place) => values[place]);
}
