import { LabIcon } from '@jupyterlab/ui-components';

import workspacesSvg from '../style/icons/workspaces.svg';

export const workspacesIcon = new LabIcon({
  name: 'jupyter-workspaces:workspaces',
  svgstr: workspacesSvg
});
